//! These tests check the pictures of products: what is accepted, what becomes of it, who sees it, and where it is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use domain::catalogue::pictures::{Pictures, Place};
use domain::demo::{ACME, ACME_HEADPHONES, ACME_KEYBOARD};
use image::ImageFormat;
use reqwest::Method;
use serde_json::{Value, json};
use tests::pictures::{self, PLACE, photograph, picture, size};
use tests::{Client, Database, Reply, SERVICE, Service, all, settings, until};

const MIB: usize = 1024 * 1024;

fn path() -> String {
    format!("/api/products/{ACME_HEADPHONES}/picture")
}

fn png(seed: u8) -> Vec<u8> {
    picture(ImageFormat::Png, (400, 300), seed)
}

fn has(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|bytes| bytes == text)
}

/// The number of rows that the table of pictures has.
async fn rows(database: &Database) -> String {
    database
        .value("SELECT count(*) FROM product_pictures")
        .await
}

async fn of_headphones(client: &Client) -> Value {
    let path = format!("/api/products/{ACME_HEADPHONES}?business=acme");
    client.get(&path).await.ok(200)["picture"].clone()
}

/// The audit entries of the headphones, newest first: their actions.
async fn trail(service: &Service) -> Vec<Value> {
    let path = format!("/api/audit?entity_type=product&entity_id={ACME_HEADPHONES}");
    let entries = service.admin().get(&path).await.ok(200);
    entries["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photograph_is_shown_in_every_size_and_says_nothing_about_its_place() {
    let service = Service::start().await;
    let (admin, nobody) = (service.admin(), service.nobody());
    let sent = photograph();
    assert!(has(&sent, PLACE));
    let request = admin.file(&path(), "image/jpeg", sent);
    let product = admin.send(request).await.ok(200);
    assert_eq!(product["picture"]["width"], 960, "{product}");
    assert_eq!(product["picture"]["height"], 720, "{product}");
    let url = product["picture"]["url"].as_str().unwrap();
    for (query, expected) in [
        ("", (960, 720)),
        ("&size=960", (960, 720)),
        ("&size=320", (320, 240)),
        ("&size=96", (96, 72)),
    ] {
        let file = nobody.bytes(&format!("{url}{query}")).await;
        assert_eq!(size(&file), expected, "{query}");
        for metadata in [PLACE, b"Exif", b"http://ns.adobe.com", b"ICC_PROFILE"] {
            assert!(!has(&file, metadata), "{query}");
        }
    }
    let wrong = nobody.get(&format!("{url}&size=97")).await;
    let _ = wrong.refused(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_a_strict_type_and_is_kept_for_as_long_as_its_address_is_true() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let version = pictures::of(&service.admin(), ACME_HEADPHONES).await;
    let plain = format!("{}?business=acme", path());
    let exact = format!("{plain}&version={version}");
    let page = format!("/shop/acme/pictures/{version}/960");
    for (path, kept) in [
        (&plain, "private, no-cache"),
        (&exact, "public, max-age=31536000, immutable"),
        (&page, "public, max-age=31536000, immutable"),
    ] {
        let reply = nobody.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        for (name, value) in [
            ("content-type", "image/jpeg"),
            ("cache-control", kept),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("set-cookie", ""),
        ] {
            assert_eq!(reply.header(name), value, "{path}");
        }
        let again = nobody.request(Method::GET, path);
        let again = again.header("If-None-Match", reply.header("etag"));
        let again = nobody.send(again).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), reply.header("etag"));
        assert_eq!(again.header("cache-control"), kept);
    }
    pictures::of(&service.admin(), ACME_HEADPHONES).await;
    assert_eq!(nobody.get(&plain).await.status, 200);
    let _ = nobody.get(&exact).await.refused(404, "picture_not_found");
    assert_eq!(nobody.get(&page).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_accepted_and_becomes_jpeg() {
    let service = Service::start().await;
    let admin = service.admin();
    for (format, media_type) in [
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::Png, "image/png"),
        (ImageFormat::WebP, "image/webp; charset=binary"),
    ] {
        let request = admin.file(&path(), media_type, picture(format, (50, 40), 3));
        let product = admin.send(request).await.ok(200);
        let url = product["picture"]["url"].as_str().unwrap();
        // It is never enlarged.
        assert_eq!(size(&admin.bytes(url).await), (50, 40), "{media_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_and_changes_nothing() {
    let service = Service::start().await;
    let admin = service.admin();
    let before = service.database.digest().await;
    let send = async |media_type: &str, bytes: Vec<u8>| {
        admin.send(admin.file(&path(), media_type, bytes)).await
    };
    for media_type in ["image/gif", "image/svg+xml", "application/json", "nonsense"] {
        let body = send(media_type, png(1))
            .await
            .refused(415, "unsupported_media_type");
        assert_eq!(
            body["media_types"],
            json!(["image/jpeg", "image/png", "image/webp"])
        );
    }
    let without = admin.request(Method::PUT, &path()).body(png(1));
    let _ = admin
        .send(without)
        .await
        .refused(415, "unsupported_media_type");
    let request = admin.file(&path(), "image/png", png(1));
    let packed = admin.send(request.header("Content-Encoding", "gzip")).await;
    let _ = packed.refused(415, "unsupported_encoding");

    let refused = |reply: &Reply, reason: &str| {
        let body = reply.refused(422, "invalid_picture");
        assert_eq!(body["reason"], reason, "{body}");
    };
    let jpeg = picture(ImageFormat::Jpeg, (400, 300), 1);
    refused(&send("image/png", jpeg.clone()).await, "other_type");
    refused(&send("image/jpeg", png(1)).await, "other_type");
    refused(&send("image/png", Vec::new()).await, "other_type");
    let page = b"<script>alert(1)</script>".to_vec();
    refused(&send("image/jpeg", page).await, "other_type");
    for (media_type, file) in [("image/jpeg", jpeg), ("image/png", png(1))] {
        let half = file[..file.len() / 2].to_vec();
        refused(&send(media_type, half).await, "unreadable");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decompression_bomb_is_refused_by_its_header() {
    let service = Service::start().await;
    let admin = service.admin();
    for (width, height) in [(8001_u16, 1_u16), (1, 8001), (8000, 3001), (65_535, 65_535)] {
        let mut bomb = picture(ImageFormat::Jpeg, (16, 16), 0);
        // The segment of the frame has the height and the width.
        let frame = bomb
            .windows(2)
            .position(|bytes| bytes == [0xff, 0xc0])
            .unwrap();
        bomb[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bomb[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        let begun = SystemTime::now();
        let refused = admin.send(admin.file(&path(), "image/jpeg", bomb)).await;
        let body = refused.refused(422, "invalid_picture");
        assert_eq!(body["reason"], "too_large", "{body}");
        assert!(begun.elapsed().unwrap() < Duration::from_secs(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_at_most_2_mib() {
    let service = Service::start().await;
    let admin = service.admin();
    let padded = |length: usize| {
        let mut file = png(1);
        file.resize(length, 0);
        file
    };
    admin.put_png(&path(), padded(2 * MIB)).await.ok(200);
    let body = admin.put_png(&path(), padded(2 * MIB + 1)).await;
    let body = body.refused(413, "payload_too_large");
    assert_eq!(body["max_bytes"], 2 * MIB);
    // The announced length is enough for a client that waits for permission.
    let request = admin.file(&path(), "image/png", padded(2 * MIB));
    admin
        .send(request.header("Expect", "100-continue"))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_in_a_picture_does_not_survive() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut file = picture(ImageFormat::Jpeg, (200, 100), 5);
    file.extend(b"<html><script>alert(1)</script>PK\x03\x04");
    let product = admin
        .send(admin.file(&path(), "image/jpeg", file))
        .await
        .ok(200);
    let url = product["picture"]["url"].as_str().unwrap();
    let served = admin.bytes(url).await;
    assert!(!has(&served, b"script") && !has(&served, b"PK\x03\x04"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_leaves_one_audit_entry_and_is_a_change_of_the_product() {
    let service = Service::start().await;
    let admin = service.admin();
    let count = trail(&service).await.len();
    let start = "/api/products?updated_since=2999-01-01";
    let start = admin.get(start).await.ok(200)["next_cursor"].clone();
    let mut cursor = start.as_str().unwrap().to_owned();
    // A change is visible once all transactions that began before it have ended.
    let mut changed = async || {
        let mut found = Vec::new();
        until("a change is visible", async || {
            let path = format!("/api/products?cursor={cursor}");
            let page = admin.get(&path).await.ok(200);
            cursor = page["next_cursor"].as_str().unwrap().to_owned();
            found.extend(page["data"].as_array().unwrap().clone());
            !found.is_empty()
        })
        .await;
        found
    };

    let product = admin.put_png(&path(), png(1)).await.ok(200);
    let entries = trail(&service).await;
    assert_eq!(entries.len(), count + 1);
    assert_eq!(entries[0]["action"], "product.picture_uploaded");
    assert_eq!(entries[0]["before"]["picture"], json!(null));
    assert_eq!(entries[0]["after"]["picture"]["width"], 400);
    let followed = changed().await;
    assert_eq!(followed.len(), 1, "{followed:?}");
    assert_eq!(followed[0]["picture"], product["picture"]);

    // The same file is no change.
    let again = admin.put_png(&path(), png(1)).await.ok(200);
    assert_eq!(again["picture"], product["picture"]);
    assert_eq!(trail(&service).await.len(), count + 1);

    for _ in 0..2 {
        let removed = admin.send(admin.request(Method::DELETE, &path())).await;
        assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    }
    let entries = trail(&service).await;
    assert_eq!(entries.len(), count + 2);
    assert_eq!(entries[0]["action"], "product.picture_removed");
    assert_eq!(entries[0]["after"]["picture"], json!(null));
    let followed = changed().await;
    assert_eq!(followed.len(), 1, "{followed:?}");
    assert_eq!(followed[0]["picture"], json!(null));
    assert_eq!(rows(&service.database).await, "0");
    let _ = admin.get(&path()).await.refused(404, "picture_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_upload_gets_the_original_response_and_another_file_does_not() {
    let service = Service::start().await;
    let admin = service.admin();
    let send = async |file: Vec<u8>| {
        let request = admin.file(&path(), "image/png", file);
        admin.send(request.header("Idempotency-Key", "one")).await
    };
    let first = send(png(1)).await;
    let second = send(png(1)).await;
    assert_eq!(first.ok(200), second.ok(200));
    assert_eq!(second.header("idempotency-replayed"), "true");
    let _ = send(png(2)).await.refused(422, "idempotency_key_reused");
    assert_eq!(rows(&service.database).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_uploads_one_is_left_whole() {
    let (one, two) = Service::two().await;
    let uploads = (0..8_u8).map(|seed| {
        let admin = if seed % 2 == 0 {
            one.admin()
        } else {
            two.admin()
        };
        async move { admin.put_png(&path(), png(seed)).await.ok(200) }
    });
    let _ = all(uploads).await;
    assert_eq!(rows(&one.database).await, "3");
    let shown = of_headphones(&one.nobody()).await;
    let url = shown["url"].as_str().unwrap();
    for size in [96, 320, 960] {
        two.nobody().bytes(&format!("{url}&size={size}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_another_business_do_not_exist() {
    let service = Service::start().await;
    let version = pictures::of(&service.admin(), ACME_HEADPHONES).await;
    let stranger = service.stranger();
    for reply in [
        stranger.get(&path()).await,
        stranger.put_png(&path(), png(1)).await,
        stranger
            .send(stranger.request(Method::DELETE, &path()))
            .await,
    ] {
        let _ = reply.refused(404, "product_not_found");
    }
    let nobody = service.nobody();
    let theirs = nobody
        .get(&format!("/shop/globex/pictures/{version}/960"))
        .await;
    assert_eq!(theirs.status, 404);
    for odd in ["97", "960x", "../960", "%00"] {
        let reply = nobody
            .get(&format!("/shop/acme/pictures/{version}/{odd}"))
            .await;
        assert_eq!(reply.status, 404, "{odd}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_an_inactive_product_is_for_staff_and_for_pages_that_name_it() {
    let service = Service::start().await;
    let admin = service.admin();
    let version = pictures::of(&admin, ACME_HEADPHONES).await;
    let product = format!("/api/products/{ACME_HEADPHONES}");
    admin
        .patch(&product, &json!({"active": false}))
        .await
        .ok(200);
    let of_visitor = service
        .nobody()
        .get(&format!("{}?business=acme", path()))
        .await;
    let _ = of_visitor.refused(404, "product_not_found");
    let _ = service
        .customer()
        .get(&path())
        .await
        .refused(404, "product_not_found");
    assert_eq!(admin.get(&path()).await.status, 200);
    // An order of it still shows what was bought.
    let page = format!("/shop/acme/pictures/{version}/96");
    assert_eq!(service.nobody().get(&page).await.status, 200);
}

/// A service that keeps new pictures in this folder.
async fn in_folder(database: Database, folder: &Path) -> Service {
    let mut settings = settings();
    settings.pictures = Place::Folder(folder.to_owned());
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

/// The files of Acme, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join(ACME.to_string())) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_the_files_of_the_pictures_that_there_are_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made/at/start");
    let service = in_folder(Database::with_demo().await, &folder).await;
    let admin = service.admin();
    let first = pictures::of(&admin, ACME_HEADPHONES).await;
    let names = |version: &str| {
        let mut names = [96, 320, 960].map(|size| {
            let name = format!("{version}-{size}.jpg");
            folder.join(ACME.to_string()).join(name)
        });
        names.sort();
        names.to_vec()
    };
    assert_eq!(files(&folder), names(&first));
    let empty = "SELECT count(*) FROM product_pictures WHERE bytes IS NULL";
    assert_eq!(service.database.value(empty).await, "3");
    let url = of_headphones(&admin).await["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(size(&admin.bytes(&url).await), (8, 8));

    // Replaced, sent again, retried, refused and removed: nothing is left behind.
    let file = pictures::new();
    for _ in 0..2 {
        let request = admin.file(&path(), "image/png", file.clone());
        admin
            .send(request.header("Idempotency-Key", "one"))
            .await
            .ok(200);
    }
    admin.put_png(&path(), file).await.ok(200);
    let url = of_headphones(&admin).await["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, second) = url.split_once("&version=").unwrap();
    assert_eq!(files(&folder), names(second));
    let nothing = format!("/api/products/{}/picture", uuid::Uuid::now_v7());
    let _ = admin
        .put_png(&nothing, png(1))
        .await
        .refused(404, "product_not_found");
    assert_eq!(files(&folder), names(second));
    let removed = admin.send(admin.request(Method::DELETE, &path())).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_no_row_names_are_deleted_after_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let service = in_folder(Database::with_demo().await, folder.path()).await;
    let kept = pictures::of(&service.admin(), ACME_HEADPHONES).await;
    let own = folder.path().join(ACME.to_string());
    let orphan = |name: &str| {
        let path = own.join(format!("{}-{name}", uuid::Uuid::now_v7()));
        fs::write(&path, b"").unwrap();
        path
    };
    let old = [orphan("960.jpg"), orphan("96.jpg.part")];
    let hours_ago = SystemTime::now() - Duration::from_secs(3601);
    for path in files(folder.path()) {
        fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(hours_ago)
            .unwrap();
    }
    let fresh = orphan("960.jpg");
    let place = Place::Folder(folder.path().to_owned());
    let database = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let pictures = Pictures::open(&place).unwrap();
    assert_eq!(pictures.delete_orphans(&database, ACME).await.unwrap(), 2);
    assert!(old.iter().all(|path| !path.exists()));
    assert!(fresh.exists());
    let page = format!("/shop/acme/pictures/{kept}/960");
    assert_eq!(service.nobody().get(&page).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_stay_where_they_were_when_the_setting_changes() {
    let folder = tempfile::tempdir().unwrap();
    let in_database = Service::start().await;
    let first = pictures::of(&in_database.admin(), ACME_HEADPHONES).await;
    let in_folder = in_folder(in_database.database.clone(), folder.path()).await;
    let second = pictures::of(&in_folder.admin(), ACME_KEYBOARD).await;
    for version in [&first, &second] {
        let page = format!("/shop/acme/pictures/{version}/320");
        assert_eq!(in_folder.nobody().get(&page).await.status, 200);
    }
    // A process without the folder says so, and shows the others.
    let page = format!("/shop/acme/pictures/{second}/320");
    assert_eq!(in_database.nobody().get(&page).await.status, 503);
    let of_keyboard = format!("/api/products/{ACME_KEYBOARD}/picture");
    let reply = in_database.admin().get(&of_keyboard).await;
    let _ = reply.refused(503, "pictures_unavailable");
    let page = format!("/shop/acme/pictures/{first}/320");
    assert_eq!(in_database.nobody().get(&page).await.status, 200);
    // Its upload replaces the other's, whose files are found later.
    pictures::of(&in_database.admin(), ACME_KEYBOARD).await;
    assert_eq!(in_folder.admin().get(&of_keyboard).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_lost_is_503_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("pictures");
    let service = in_folder(Database::with_demo().await, &own).await;
    fs::remove_dir_all(&own).unwrap();
    // A file in place of the folder: nothing can be written below it, whoever writes.
    fs::write(&own, b"").unwrap();
    let before = service.database.digest().await;
    let reply = service.admin().put_png(&path(), png(1)).await;
    let _ = reply.refused(503, "pictures_unavailable");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_url_is_set_shown_and_cleared() {
    let service = Service::start().await;
    let admin = service.admin();
    let url = "https://cdn.example/novelty.jpg";
    let body = json!({"sku": "PIC-1", "name": "Novelty", "price": "1.00", "image_url": url});
    let made = admin.post("/api/products", &body).await;
    assert_eq!(made.ok(201)["image_url"], url);
    let path = made.header("location").to_owned();
    let csv = admin.csv("/api/products?sku=PIC-1").await;
    assert!(
        csv.text.lines().next().unwrap().contains("image_url"),
        "{}",
        csv.text
    );
    assert!(csv.text.contains(url), "{}", csv.text);
    let changed = admin.patch(&path, &json!({"price": "2.00"})).await.ok(200);
    assert_eq!(changed["image_url"], url);
    let cleared = admin
        .patch(&path, &json!({"image_url": null}))
        .await
        .ok(200);
    assert_eq!(cleared["image_url"], json!(null));
    for bad in [
        "ftp://cdn.example/a",
        "https://me@cdn.example/a",
        "cdn.example/a",
        "",
    ] {
        let refused = admin.patch(&path, &json!({"image_url": bad})).await;
        let body = refused.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "/image_url", "{body}");
    }
    let table =
        "sku,name,price,image_url\nPIC-2,Two,1.00,https://cdn.example/two.jpg\nPIC-3,Three,1.00,\n";
    let request = admin.request(Method::POST, "/api/imports/products");
    let request = request.header("Content-Type", "text/csv");
    admin.send(request.body(table)).await.ok(200);
    let found = admin.get("/api/products?q=PIC-").await.ok(200);
    let urls: Vec<&Value> = found["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["image_url"])
        .collect();
    assert_eq!(
        urls,
        [
            &json!(null),
            &json!("https://cdn.example/two.jpg"),
            &json!(null)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_by_https_takes_an_image_url_by_https_only() {
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let mut settings = settings();
    settings.public_url = Some("https://shop.example".parse().unwrap());
    let secure = Service::with(database, &url, &settings).await;
    let plain = Service::start().await;
    let path = format!("/api/products/{ACME_HEADPHONES}");
    let body = json!({"image_url": "http://cdn.example/a.jpg"});
    plain.admin().patch(&path, &body).await.ok(200);
    let refused = secure.admin().patch(&path, &body).await;
    let refused = refused.refused(422, "validation_failed");
    assert_eq!(refused["errors"][0]["message"], "must begin with https://");
    let table = "sku,name,price,image_url\nPIC-2,Two,1.00,http://cdn.example/two.jpg\n";
    let admin = secure.admin();
    let request = admin.request(Method::POST, "/api/imports/products");
    let request = request.header("Content-Type", "text/csv");
    let refused = admin
        .send(request.body(table))
        .await
        .refused(422, "validation_failed");
    assert_eq!(refused["errors"][0]["column"], "image_url", "{refused}");
}
