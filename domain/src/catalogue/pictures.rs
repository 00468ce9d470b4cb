//! Uploaded pictures of products. Each has at most one, which is kept as a JPEG file in each [`PictureSize`].
//!
//! The files are in the database or in a folder; a row says for each where it is. A replaced or removed picture is
//! deleted at once: its rows in the transaction that replaces it, its files right after the commit. A process that dies
//! in between leaves files that no row names. [`Pictures::delete_orphans`] finds them.
//!
//! Locks the product. An upload costs one statement for each size beside those of a change of a product.

mod folder;
mod upload;

use std::collections::HashMap;
use std::path::PathBuf;

use chrono::Utc;
use entity::{
    BusinessId, Picture, PictureId, PictureSize, ProductId, Tenant, product_pictures, products,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
};
use sha2::{Digest, Sha256};

use self::folder::Folder;
use self::upload::Files;
use super::products::{Product, audit_snapshot, with_stock};
use crate::audit::{self, Action, Change};
use crate::foundation::bounded_work::BoundedWork;
use crate::foundation::locks;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

pub use upload::{FileType, Upload};

/// The most uploads that are decoded at the same time. Each takes up to 300 MB of memory, and a core for up to two seconds.
const MAX_CONCURRENT: usize = 1;

/// The most uploads that wait, with up to 2 MB each. Further ones are rejected as overloaded.
const MAX_WAITING: usize = 16;

/// The place of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The table `product_pictures`.
    Database,
    /// A folder of this machine, or one that all machines share.
    Folder(PathBuf),
}

/// A product whose picture was uploaded or removed.
#[derive(Debug)]
pub struct Pictured {
    /// The product.
    pub product: Product,
    /// The picture that it had before, if it has another now.
    replaced: Option<PictureId>,
}

/// Reads and writes pictures.
#[derive(Debug)]
pub struct Pictures {
    /// `None` keeps new pictures in the database.
    folder: Option<Folder>,
    decoding: BoundedWork,
}

impl Pictures {
    /// Opens the place. A folder is made if it does not exist, and tried.
    ///
    /// # Errors
    /// [`Error::PicturesUnavailable`] for a folder in which no file can be written.
    pub fn open(place: &Place) -> Result<Self, Error> {
        let folder = match place {
            Place::Database => None,
            Place::Folder(path) => Some(Folder::open(path)?),
        };
        Ok(Self {
            folder,
            decoding: BoundedWork::new(MAX_CONCURRENT, MAX_WAITING),
        })
    }

    /// Makes an uploaded file the picture of a product. The file that it was made of before changes nothing and leaves
    /// no trace, unless pictures have another place now.
    ///
    /// # Errors
    /// [`Error::InvalidPicture`]; [`Error::ProductNotFound`]; [`Error::PicturesUnavailable`]; those of [`WriteRequest`].
    pub async fn upload(
        &self,
        database: &Database,
        request: &WriteRequest<'_, Pictured>,
        product: ProductId,
        upload: Upload,
    ) -> Result<Outcome<Pictured>, Error> {
        let caller = request.caller;
        let hash = Sha256::digest(&upload.bytes).to_vec();
        let new = NewPicture {
            id: PictureId::new(),
            hash,
            files: self
                .decoding
                .run(move || upload::files(&upload).map_err(Error::InvalidPicture))
                .await?,
            in_folder: self.folder.is_some(),
        };
        if let Some(folder) = &self.folder {
            folder
                .write(caller.business_id, new.id, &new.files.files)
                .await?;
        }
        let outcome = request
            .run(database, || async {
                let write = request.begin(database).await?;
                let transaction = write.transaction();
                let row = locks::product(transaction, caller.business_id, product)
                    .await?
                    .ok_or(Error::ProductNotFound(product))?;
                if let Some(replayed) = write.replayed().await? {
                    return Ok(replayed);
                }
                let pictured = match new.is_of(transaction, &row).await? {
                    true => Pictured {
                        product: with_stock(transaction, row).await?,
                        replaced: None,
                    },
                    false => replace(transaction, caller, row, Some(&new)).await?,
                };
                write.finish(pictured).await
            })
            .await;
        self.delete_unused(caller.business_id, new.id, &outcome)
            .await;
        outcome
    }

    /// Removes the picture of a product, if it has one.
    ///
    /// # Errors
    /// [`Error::ProductNotFound`]; [`Error::DatabaseUnavailable`].
    pub async fn remove(
        &self,
        database: &Database,
        caller: &Caller,
        product: ProductId,
    ) -> Result<(), Error> {
        let removed = retry(|| async {
            let transaction = database.begin(caller.business_id).await?;
            let row = locks::product(&transaction, caller.business_id, product)
                .await?
                .ok_or(Error::ProductNotFound(product))?;
            if row.picture_id.is_none() {
                transaction.commit().await?;
                return Ok(None);
            }
            let pictured = replace(&transaction, caller, row, None).await?;
            transaction.commit().await?;
            Ok(pictured.replaced)
        });
        if let (Some(folder), Some(id)) = (&self.folder, removed.await?) {
            folder.delete(caller.business_id, id).await;
        }
        Ok(())
    }

    /// The JPEG file of a picture; `None` if the business has no such picture.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]; [`Error::PicturesUnavailable`].
    pub async fn read(
        &self,
        database: &Database,
        business: BusinessId,
        id: PictureId,
        size: PictureSize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let row = retry(|| async {
            let transaction = database.begin_read(business).await?;
            let row = product_pictures::Entity::of(business)
                .filter(product_pictures::Column::Id.eq(id))
                .filter(product_pictures::Column::Size.eq(size))
                .one(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(row)
        });
        match (row.await?.map(|row| row.bytes), &self.folder) {
            (None, _) => Ok(None),
            (Some(Some(bytes)), _) => Ok(Some(bytes)),
            (Some(None), Some(folder)) => folder.read(business, id, size).await,
            (Some(None), None) => Err(Error::PicturesUnavailable(
                "a picture is in a folder, and TRADELINE_PICTURES names none".to_owned(),
            )),
        }
    }

    /// Deletes files of a business that no row names and that are old enough not to belong to an upload that is under
    /// way. Returns the number of their pictures.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]; [`Error::PicturesUnavailable`].
    pub async fn delete_orphans(
        &self,
        database: &Database,
        business: BusinessId,
    ) -> Result<usize, Error> {
        let Some(folder) = &self.folder else {
            return Ok(0);
        };
        let mut orphans = folder.old_ids(business).await?;
        if orphans.is_empty() {
            return Ok(0);
        }
        let named: Vec<PictureId> = retry(|| async {
            let transaction = database.begin_read(business).await?;
            let named = product_pictures::Entity::of(business)
                .select_only()
                .column(product_pictures::Column::Id)
                .filter(product_pictures::Column::Id.eq_any(orphans.iter().copied()))
                .into_tuple()
                .all(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(named)
        })
        .await?;
        orphans.retain(|id| !named.contains(id));
        for id in &orphans {
            folder.delete(business, *id).await;
        }
        Ok(orphans.len())
    }

    /// Deletes the files that an upload has left without a row: the replaced ones, or its own if it was not needed. If
    /// the outcome is unknown, the files stay until [`Pictures::delete_orphans`].
    async fn delete_unused(
        &self,
        business: BusinessId,
        new: PictureId,
        outcome: &Result<Outcome<Pictured>, Error>,
    ) {
        let unused = match outcome {
            Ok(Outcome::Done { value, .. }) if value.product.product.picture_id == Some(new) => {
                value.replaced
            }
            Err(Error::OutcomeUnknown) => None,
            _ => Some(new),
        };
        if let (Some(folder), Some(id)) = (&self.folder, unused) {
            folder.delete(business, id).await;
        }
    }
}

/// The pictures of these products, also of those that are off sale. Products without a picture are left out.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn of_products(
    database: &Database,
    business: BusinessId,
    products: &[ProductId],
) -> Result<HashMap<ProductId, Picture>, Error> {
    type Found = (ProductId, PictureId, i32, i32);
    let found: Vec<Found> = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let found = products::Entity::of(business)
            .select_only()
            .columns([
                products::Column::Id,
                products::Column::PictureId,
                products::Column::PictureWidth,
                products::Column::PictureHeight,
            ])
            .filter(products::Column::Id.eq_any(products.iter().copied()))
            .filter(products::Column::PictureId.is_not_null())
            .into_tuple()
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(found)
    })
    .await?;
    let found = found.into_iter();
    Ok(found
        .map(|(product, id, width, height)| (product, Picture { id, width, height }))
        .collect())
}

/// A picture that is to be written.
struct NewPicture {
    id: PictureId,
    /// The SHA-256 of the uploaded file.
    hash: Vec<u8>,
    files: Files,
    /// Whether the files are in the folder.
    in_folder: bool,
}

impl NewPicture {
    /// Whether the product's picture was made of the same file, and is in the same place.
    async fn is_of(
        &self,
        transaction: &Transaction,
        product: &products::Model,
    ) -> Result<bool, Error> {
        let Some(id) = product.picture_id else {
            return Ok(false);
        };
        let is_in_place = match self.in_folder {
            true => product_pictures::Column::Bytes.is_null(),
            false => product_pictures::Column::Bytes.is_not_null(),
        };
        let hash: Option<Vec<u8>> = product_pictures::Entity::of(product.business_id)
            .select_only()
            .column(product_pictures::Column::UploadHash)
            .filter(product_pictures::Column::Id.eq(id))
            .filter(product_pictures::Column::Size.eq(PictureSize::Large))
            .filter(is_in_place)
            .into_tuple()
            .one(transaction)
            .await?;
        Ok(hash.as_ref() == Some(&self.hash))
    }

    async fn insert(
        &self,
        transaction: &Transaction,
        product: &products::Model,
    ) -> Result<(), Error> {
        for (size, file) in &self.files.files {
            let row = product_pictures::ActiveModel {
                business_id: Set(product.business_id),
                id: Set(self.id),
                size: Set(*size),
                product_id: Set(product.id),
                upload_hash: Set(self.hash.clone()),
                bytes: Set((!self.in_folder).then(|| file.clone())),
                ..Default::default()
            };
            product_pictures::Entity::insert(row)
                .exec_without_returning(transaction)
                .await?;
        }
        Ok(())
    }
}

/// Gives the locked product this picture in place of the one that it has, or none.
async fn replace(
    transaction: &Transaction,
    caller: &Caller,
    product: products::Model,
    new: Option<&NewPicture>,
) -> Result<Pictured, Error> {
    let before = audit_snapshot(&product, caller.currency);
    let replaced = product.picture_id;
    if let Some(new) = new {
        new.insert(transaction, &product).await?;
    }
    if let Some(id) = replaced {
        product_pictures::Entity::delete_of(product.business_id)
            .filter(product_pictures::Column::Id.eq(id))
            .exec(transaction)
            .await?;
    }
    let mut row = product.into_active_model();
    row.picture_id = Set(new.map(|new| new.id));
    row.picture_width = Set(new.map(|new| new.files.pixels.0));
    row.picture_height = Set(new.map(|new| new.files.pixels.1));
    row.updated_at = Set(Utc::now());
    let product = row.update(transaction).await?;
    let change = Change {
        action: match new {
            Some(_) => Action::ProductPictureUploaded,
            None => Action::ProductPictureRemoved,
        },
        entity_type: "product",
        entity_id: product.id.0,
        before: Some(before),
        after: audit_snapshot(&product, caller.currency),
    };
    audit::record(transaction, caller, change).await?;
    Ok(Pictured {
        product: with_stock(transaction, product).await?,
        replaced,
    })
}
