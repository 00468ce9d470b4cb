//! Who a caller is: passwords, and the user behind a credential.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use entity::users::{self, PasswordHash, Role};
use entity::{Tenant, businesses as businesses_table};
use sea_orm::{ColumnTrait, QueryFilter};
use tokio::sync::Semaphore;

use crate::businesses::{self, Business};
use crate::{Authority, Caller, Database, Directory, Error};

/// How many passwords are hashed at once. Each takes 19 MiB and some 20 ms of a core: more at once would only let a
/// flood of logins take memory and cores from sales.
const AT_ONCE: usize = 2;

/// Checks passwords off the async threads, a bounded number at once.
#[derive(Debug, Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// A user who has shown its password.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The user.
    pub user: users::Model,
    /// What it may do.
    pub authority: Authority,
    /// Its business.
    pub business: Arc<Business>,
}

/// A caller as it sees itself.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The user, unless the credential is a script's.
    pub user: Option<users::Model>,
    /// Its business.
    pub business: businesses_table::Model,
}

impl Passwords {
    /// Finds the user with this address and password in the business with this slug or id.
    ///
    /// An unknown business, an unknown address and a wrong password take the same time and get the same answer.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`]; [`Error::DatabaseUnavailable`].
    pub async fn log_in(
        &self,
        database: &Database,
        directory: &Directory,
        business: &str,
        email: &str,
        password: String,
    ) -> Result<LoggedIn, Error> {
        let business = directory.by_name(database, business).await?;
        let user = match &business {
            Some(business) => {
                let transaction = database.begin(business.id).await?;
                users::Entity::of(business.id)
                    .filter(users::Column::Email.eq(email.to_lowercase()))
                    .one(&transaction)
                    .await?
            }
            None => None,
        };
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let matches = self.matches(password, hash).await?;
        match (user, business) {
            (Some(user), Some(business)) if matches => Ok(LoggedIn {
                authority: authority(&user)?,
                user,
                business,
            }),
            _ => Err(Error::InvalidCredentials),
        }
    }

    /// Compares with the hash, or with one that nothing matches, in the same time.
    async fn matches(&self, password: String, hash: Option<PasswordHash>) -> Result<bool, Error> {
        self.with_permit(move || {
            let hash = match &hash {
                Some(hash) => &hash.0,
                None => no_ones_hash()?,
            };
            Ok(argon2().verify_password(password.as_bytes(), hash).is_ok())
        })
        .await
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<PasswordHash, Error> {
        self.with_permit(move || hash(&password)).await
    }

    async fn with_permit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|closed| Error::Bug(closed.to_string()))?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|panic| Error::Bug(panic.to_string()))?
    }
}

fn authority(user: &users::Model) -> Result<Authority, Error> {
    match (user.role, user.customer_id) {
        (Role::Admin, _) => Ok(Authority::Admin),
        (Role::Staff, _) => Ok(Authority::Staff),
        (Role::Customer, Some(customer)) => Ok(Authority::Customer(customer)),
        (Role::Customer, None) => Err(Error::Bug(format!("user {} is no one's customer", user.id))),
    }
}

/// Argon2id as OWASP recommends it: 19 MiB of memory, two passes, one lane. They are the crate's defaults.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
fn argon2() -> Argon2<'static> {
    Argon2::default()
}

/// Hashes a password, with a salt of its own. Takes some 20 ms of a core.
pub(crate) fn hash(password: &str) -> Result<PasswordHash, Error> {
    argon2()
        .hash_password(password.as_bytes())
        .map(|hash| PasswordHash(hash.to_string()))
        .map_err(|error| Error::Bug(error.to_string()))
}

/// The hash of something that no one knows.
fn no_ones_hash() -> Result<&'static str, Error> {
    static HASH: OnceLock<String> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash);
    }
    let made = hash(&uuid::Uuid::now_v7().to_string())?;
    Ok(HASH.get_or_init(|| made.0))
}

/// The caller's own user and business.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn profile(database: &Database, caller: &Caller) -> Result<Profile, Error> {
    let transaction = database.begin_read(caller.business_id).await?;
    let business = businesses::read(&transaction, caller.business_id).await?;
    let user = users::Entity::of(caller.business_id)
        .filter(users::Column::Id.eq(caller.user_id))
        .one(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(Profile { user, business })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hashed_as_owasp_recommends() {
        let hash = hash("correct horse").unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        assert!(
            !format!("{hash:?}").contains("argon2"),
            "debug output shows no hash"
        );
    }

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let passwords = Passwords::default();
        let kept = hash("correct horse").unwrap();
        assert!(
            passwords
                .matches("correct horse".into(), Some(kept.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .matches("Correct horse".into(), Some(kept))
                .await
                .unwrap()
        );
        assert!(!passwords.matches(String::new(), None).await.unwrap());
    }
}
