//! These tests check tokens of another issuer: valid ones, and every kind of invalid one.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, GLOBEX};
use entity::BusinessId;
use jsonwebtoken::Algorithm;
use reqwest::Method;
use serde_json::{Value, json};
use tests::issuer::{AUDIENCE, ISSUER, IssuerServer, SigningKey, base64url, good_claims, set_of};
use tests::{SECRET, SERVICE, Service, claims, settings, signed};
use tradeline::config::Settings;
use uuid::Uuid;

async fn service(settings: &Settings) -> Service {
    let database = tests::Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, settings).await
}

/// Starts a service that trusts an issuer with these keys.
async fn trusting(keys: &[&SigningKey]) -> (Service, IssuerServer) {
    let issuer = IssuerServer::start(keys).await;
    let service = service(&issuer.settings()).await;
    (service, issuer)
}

async fn is_refused(service: &Service, what: &str, token: &str) {
    let reply = service.bearer(token).get("/api/auth/me").await;
    assert_eq!(reply.status, 401, "{what}: {}", reply.text);
    let _ = reply.refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_issuer_is_as_good_as_one_of_ours_whatever_it_is_signed_with() {
    let rsa = SigningKey::of("rsa", Algorithm::RS256);
    let keys = [
        SigningKey::of("ec", Algorithm::ES256),
        SigningKey::of("ed", Algorithm::EdDSA),
        rsa.renamed("pss", Algorithm::PS256),
        rsa.renamed("rsa-384", Algorithm::RS384),
        rsa,
    ];
    let (service, _issuer) = trusting(&keys.each_ref()).await;
    for key in &keys {
        for role in ["admin", "staff"] {
            let client = service.bearer(&key.sign(&good_claims(ACME, role)));
            let me = client.get("/api/auth/me").await.ok(200);
            assert_eq!(me["role"], role, "{:?}", key.algorithm);
            assert_eq!(me["business"]["slug"], "acme");
            // The issuer's user is not in the users table.
            assert_eq!(me["email"], Value::Null);
        }
    }
    // Tokens of the service itself stay valid.
    let _ = service.admin().get("/api/auth/me").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_issuer_is_always_the_same_and_none_of_ours() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let user = async |subject: &str| {
        let mut claims = good_claims(ACME, "admin");
        claims["sub"] = json!(subject);
        // The claim makes each token new, so that none comes from the cache.
        claims["jti"] = json!(Uuid::now_v7());
        let me = service.bearer(&key.sign(&claims)).get("/api/auth/me").await;
        me.ok(200)["user_id"].as_str().unwrap().parse().unwrap()
    };
    let id: Uuid = user("auth0|4711").await;
    assert_eq!(id, user("auth0|4711").await);
    assert_ne!(id, user("auth0|4712").await);
    let space = Uuid::new_v5(&Uuid::NAMESPACE_URL, ISSUER.as_bytes());
    assert_eq!(id, Uuid::new_v5(&space, b"auth0|4711"));
    // A subject that equals the id of a stored user is a different user.
    let ours = service.database.value("SELECT id FROM users LIMIT 1").await;
    assert_ne!(user(&ours).await.to_string(), ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_token_acts_for_its_customer_and_the_claims_may_be_anywhere() {
    let key = SigningKey::new("1");
    let issuer = IssuerServer::start(&[&key]).await;
    let mut settings = issuer.settings();
    settings.identity.claim_business = "app_metadata.business_id".parse().unwrap();
    settings.identity.claim_role = "https://tradeline.example/role".parse().unwrap();
    settings.identity.claim_customer = "app_metadata.customer.id".parse().unwrap();
    let service = service(&settings).await;
    // Claims under the default names are ignored.
    let mut claims = good_claims(GLOBEX, "authenticated");
    claims["app_metadata"] = json!({"business_id": ACME, "customer": {"id": ACME_CUSTOMER}});
    claims["https://tradeline.example/role"] = json!("customer");
    let me = service.bearer(&key.sign(&claims)).get("/api/auth/me").await;
    let me = me.ok(200);
    assert_eq!(me["customer_id"], json!(ACME_CUSTOMER));
    assert_eq!(me["business"]["slug"], "acme");
    let plain = key.sign(&good_claims(ACME, "admin"));
    is_refused(&service, "claims in other places", &plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_missing_or_wrong_make_a_token_none() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let now = chrono::Utc::now().timestamp();
    for name in ["iss", "aud", "sub", "exp", "business_id", "role"] {
        let mut claims = good_claims(ACME, "admin");
        claims.as_object_mut().unwrap().remove(name);
        is_refused(&service, &format!("without {name}"), &key.sign(&claims)).await;
    }
    for (name, value) in [
        ("iss", json!("https://issuer.example/auth/v2")),
        ("iss", json!("tradeline")),
        ("iss", json!([ISSUER, "https://other.example"])),
        ("iss", json!([ISSUER])),
        ("aud", json!("another")),
        ("aud", json!(["another", "others"])),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("sub", json!("")),
        ("sub", json!(4711)),
        ("sub", json!("x".repeat(256))),
        ("nbf", json!("soon")),
        ("exp", json!("never")),
        ("exp", json!(1e20)),
        ("nbf", json!(now + 60)),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("iat", json!("once")),
        ("role", json!("platform")),
        ("role", json!("owner")),
        ("role", json!("Admin")),
        ("role", json!(["admin"])),
        ("role", json!("customer")),
        ("customer_id", json!(ACME_CUSTOMER)),
        ("business_id", json!("acme")),
        ("business_id", json!([ACME])),
        ("business_id", json!(BusinessId::new())),
    ] {
        let mut claims = good_claims(ACME, "admin");
        claims[name] = value.clone();
        // Only an expired token gets a code of its own.
        if (name, &value) == ("exp", &json!(-1)) {
            let reply = service.bearer(&key.sign(&claims)).get("/api/auth/me").await;
            assert_eq!(reply.status, 401, "{}", reply.text);
            continue;
        }
        is_refused(&service, &format!("{name}: {value}"), &key.sign(&claims)).await;
    }
    let mut ended = good_claims(ACME, "admin");
    ended["exp"] = json!(now - 60);
    let reply = service.bearer(&key.sign(&ended)).get("/api/auth/me").await;
    let _ = reply.refused(401, "token_expired");
    let mut barely = good_claims(ACME, "admin");
    barely["exp"] = json!(now as f64 - 59.5);
    let reply = service.bearer(&key.sign(&barely)).get("/api/auth/me").await;
    let _ = reply.refused(401, "token_expired");
    // A list of audiences that contains the service's is valid.
    let mut claims = good_claims(ACME, "admin");
    claims["aud"] = json!(["another", AUDIENCE]);
    let good = service.bearer(&key.sign(&claims)).get("/api/auth/me").await;
    let _ = good.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_the_issuer_may_have_fractions_and_it_need_not_say_when_it_made_a_token() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let now = chrono::Utc::now().timestamp();
    let head = r#"{"alg": "ES256", "kid": "1"}"#;
    for (name, number) in [
        ("exp", format!("{}.999999999", now + 600)),
        ("exp", "99999999999.5".to_owned()),
        ("exp", "9.9e10".to_owned()),
        ("iat", format!("{now}.123456")),
        ("nbf", format!("{}.5", now - 1)),
    ] {
        let mut claims = good_claims(ACME, "staff");
        claims.as_object_mut().unwrap().remove(name);
        let claims = format!("{{\"{name}\": {number}, {}", &claims.to_string()[1..]);
        let client = service.bearer(&key.sign_text(head, &claims));
        let me = client.get("/api/auth/me").await;
        assert_eq!(me.status, 200, "{claims}: {}", me.text);
    }
    let mut claims = good_claims(ACME, "staff");
    claims.as_object_mut().unwrap().remove("iat");
    let me = service.bearer(&key.sign(&claims)).get("/api/auth/me").await;
    let _ = me.ok(200);
    // Tokens of the service itself must contain all claims in whole seconds.
    let ours = |iat: Value, exp: Value| {
        let claims = json!({"sub": Uuid::now_v7(), "business_id": ACME, "role": "admin", "iss": "tradeline",
                            "iat": iat, "exp": exp});
        let secret = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &secret).unwrap()
    };
    let whole = ours(json!(now), json!(now + 60));
    let _ = service.bearer(&whole).get("/api/auth/me").await.ok(200);
    for (iat, exp) in [
        (Value::Null, json!(now + 60)),
        (json!(now as f64 + 0.5), json!(now + 60)),
        (json!(now), json!(now as f64 + 60.5)),
    ] {
        is_refused(&service, "a token of ours", &ours(iat, exp)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_or_a_header_that_appears_twice_makes_a_token_none() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let claims = good_claims(ACME, "staff").to_string();
    let head = r#"{"alg": "ES256", "kid": "1"}"#;
    let twice = |more: &str| format!("{{{more}, {}", &claims[1..]);
    let good = service.bearer(&key.sign_text(head, &claims));
    let _ = good.get("/api/auth/me").await.ok(200);
    for more in [
        r#""role": "admin""#.to_owned(),
        r#""ro\u006ce": "admin""#.to_owned(),
        r#""exp": 99999999999"#.to_owned(),
        format!(r#""business_id": "{GLOBEX}""#),
        r#""extra": {"a": 1, "a": 2}"#.to_owned(),
    ] {
        is_refused(&service, &more, &key.sign_text(head, &twice(&more))).await;
    }
    for head in [
        r#"{"alg": "ES256", "kid": "1", "kid": "1"}"#,
        r#"{"alg": "ES256", "alg": "ES256", "kid": "1"}"#,
    ] {
        is_refused(&service, head, &key.sign_text(head, &claims)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_brings_no_key_and_no_rules_of_its_own() {
    let key = SigningKey::new("1");
    let own = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    // The attacker's server publishes a key that matches the signature.
    let attacker = IssuerServer::start(&[&own]).await;
    let claims = good_claims(ACME, "admin").to_string();
    for (name, value) in [
        ("jku", json!(attacker.url)),
        ("x5u", json!(attacker.url)),
        ("jwk", own.jwk()),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        let head = |kid: Option<&str>| {
            let mut head = json!({"alg": "ES256"});
            head[name] = value.clone();
            if let Some(kid) = kid {
                head["kid"] = json!(kid);
            }
            head.to_string()
        };
        for kid in [None, Some("1"), Some("2")] {
            let token = own.sign_text(&head(kid), &claims);
            is_refused(&service, name, &token).await;
        }
        // These headers are rejected even in a token that the issuer has signed.
        is_refused(&service, name, &key.sign_text(&head(Some("1")), &claims)).await;
    }
    assert_eq!(attacker.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_and_not_the_token_says_how_it_is_verified() {
    let rsa = SigningKey::of("rsa", Algorithm::RS256);
    let ec = SigningKey::of("ec", Algorithm::ES256);
    let ed = SigningKey::of("ed", Algorithm::EdDSA);
    let (service, _issuer) = trusting(&[&rsa, &ec, &ed]).await;
    let claims = good_claims(ACME, "admin");
    let text = claims.to_string();
    for key in [&rsa, &ec, &ed] {
        let _ = service
            .bearer(&key.sign(&claims))
            .get("/api/auth/me")
            .await
            .ok(200);
    }
    // Tokens without a signature.
    for alg in ["none", "None", "NONE", ""] {
        for kid in ["rsa", "ec", "ed"] {
            let head = json!({"alg": alg, "kid": kid}).to_string();
            let token = format!("{}.{}.", base64url(&head), base64url(&text));
            is_refused(&service, alg, &token).await;
        }
    }
    // A public key used as a shared secret, in the forms that attackers use.
    let n = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let secrets = [n.clone(), rsa.jwk().to_string(), ec.jwk().to_string()];
    for secret in &secrets {
        for (algorithm, kid) in [
            (Algorithm::HS256, Some("rsa")),
            (Algorithm::HS384, Some("rsa")),
            (Algorithm::HS512, Some("ec")),
            (Algorithm::HS256, None),
        ] {
            let mut head = jsonwebtoken::Header::new(algorithm);
            head.kid = kid.map(str::to_owned);
            let secret = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
            let token = jsonwebtoken::encode(&head, &claims, &secret).unwrap();
            is_refused(&service, &format!("{algorithm:?} {kid:?}"), &token).await;
        }
    }
    // Another algorithm for the same key, another key's name, another curve, and no name.
    let other = [
        rsa.renamed("rsa", Algorithm::PS256).sign(&claims),
        rsa.renamed("rsa", Algorithm::RS384).sign(&claims),
        rsa.renamed("ec", Algorithm::RS256).sign(&claims),
        ec.renamed("rsa", Algorithm::ES256).sign(&claims),
        ed.renamed("ec", Algorithm::EdDSA).sign(&claims),
        SigningKey::new("ec").sign(&claims),
        SigningKey::of("rsa", Algorithm::RS256).sign(&claims),
        ec.sign_text(r#"{"alg": "ES384", "kid": "ec"}"#, &text),
        ec.sign_text(r#"{"alg": "EdDSA", "kid": "ec"}"#, &text),
        ec.sign_text(r#"{"alg": "RS256", "kid": "ec"}"#, &text),
        ec.sign_text(r#"{"alg": "ES256"}"#, &text),
        ec.sign_text(r#"{"alg": "ES256", "kid": ""}"#, &text),
        ec.sign_text(r#"{"alg": "ES256", "kid": 1}"#, &text),
        ec.sign_text(r#"{"alg": "ES256", "kid": null}"#, &text),
        ec.sign_text(r#"{"alg": "ES256", "kid": "../../etc/passwd"}"#, &text),
        ec.sign_text(r#"{"kid": "ec"}"#, &text),
    ];
    for (number, token) in other.iter().enumerate() {
        is_refused(&service, &format!("number {number}"), token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_secret_signs_nothing_in_the_issuers_name_nor_the_issuers_keys_in_ours() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let secret = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let head = jsonwebtoken::Header::new(Algorithm::HS256);
    let token = jsonwebtoken::encode(&head, &good_claims(ACME, "admin"), &secret).unwrap();
    is_refused(&service, "our secret, its name", &token).await;
    let mut ours = good_claims(ACME, "admin");
    ours["iss"] = json!("tradeline");
    ours["sub"] = json!(Uuid::now_v7());
    is_refused(&service, "its key, our name", &key.sign(&ours)).await;
    // The issuer's tokens never have the platform's authority.
    for business in [json!(ACME), Value::Null] {
        let mut claims = good_claims(ACME, "platform");
        claims["business_id"] = business;
        let client = service.bearer(&key.sign(&claims));
        let reply = client.post("/api/businesses", &json!({})).await;
        let _ = reply.refused(401, "unauthenticated");
    }
    let admin = service.bearer(&key.sign(&good_claims(ACME, "admin")));
    let reply = admin.post("/api/businesses", &json!({})).await;
    let _ = reply.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_and_mutilated_tokens_are_refused() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let mut large = good_claims(ACME, "admin");
    large["groups"] = json!("x".repeat(7000));
    is_refused(&service, "large", &key.sign(&large)).await;
    large["groups"] = json!("x".repeat(3000));
    let _ = service
        .bearer(&key.sign(&large))
        .get("/api/auth/me")
        .await
        .ok(200);
    let good = key.sign(&good_claims(ACME, "admin"));
    let parts: Vec<&str> = good.split('.').collect();
    for bad in [
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][..40]),
        format!("{}.{}.{}", parts[0], base64url("[]"), parts[2]),
        format!("{}.{}.{}", base64url("\"x\""), parts[1], parts[2]),
        format!("{}.{}.{}", base64url("[".repeat(3000)), parts[1], parts[2]),
    ] {
        is_refused(&service, &bad, &bad).await;
    }
    let mut changed = good_claims(GLOBEX, "admin").to_string();
    changed = changed.replace("admin", "staff");
    let forged = format!("{}.{}.{}", parts[0], base64url(changed), parts[2]);
    is_refused(&service, "changed claims", &forged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_no_issuers_token_is_accepted_and_half_of_them_stop_the_start() {
    let key = SigningKey::new("1");
    let plain = Service::start().await;
    let token = key.sign(&good_claims(ACME, "admin"));
    is_refused(&plain, "no issuer is configured", &token).await;

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let keys = file("keys.json", &set_of(&[&key]));
    let database = tests::Database::with_demo().await;
    let starts = async |set: &dyn Fn(&mut Settings)| {
        let mut settings = settings();
        settings.identity.issuer = Some(ISSUER.to_owned());
        settings.identity.audience = Some(AUDIENCE.to_owned());
        settings.identity.jwks = Some(keys.parse().unwrap());
        set(&mut settings);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (url, secret) = (database.url(SERVICE).into(), SECRET.to_owned().into());
        let started = tradeline::service::Service::start(&settings, &url, &secret, listener).await;
        started
            .map(|service| service.abort())
            .map_err(|error| error.to_string())
    };
    assert_eq!(starts(&|_| {}).await, Ok(()));
    let missing = folder.path().join("none.json").to_str().unwrap().to_owned();
    let garbage = file("garbage.json", b"<html>");
    let empty = file("empty.json", b"{\"keys\": []}");
    let huge = file("huge.json", &vec![b' '; 300 * 1024]);
    type Slip<'a> = (&'a dyn Fn(&mut Settings), &'a str);
    let slips: [Slip<'_>; 9] = [
        (&|s| s.identity.issuer = None, "TRADELINE_ISSUER"),
        (&|s| s.identity.audience = None, "TRADELINE_AUDIENCE"),
        (&|s| s.identity.jwks = None, "TRADELINE_JWKS"),
        (
            &|s| s.identity.issuer = Some("tradeline".to_owned()),
            "TRADELINE_ISSUER",
        ),
        (
            &|s| s.identity.audience = Some(" ".to_owned()),
            "TRADELINE_AUDIENCE",
        ),
        (
            &|s| s.identity.jwks = Some(missing.parse().unwrap()),
            "TRADELINE_JWKS",
        ),
        (
            &|s| s.identity.jwks = Some(garbage.parse().unwrap()),
            "TRADELINE_JWKS",
        ),
        (
            &|s| s.identity.jwks = Some(empty.parse().unwrap()),
            "TRADELINE_JWKS",
        ),
        (
            &|s| s.identity.jwks = Some(huge.parse().unwrap()),
            "TRADELINE_JWKS",
        ),
    ];
    for (number, (set, name)) in slips.iter().enumerate() {
        let error = starts(*set).await.unwrap_err();
        assert!(error.contains(name), "number {number}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_good_a_moment_ago_is_still_looked_at_for_its_time() {
    let key = SigningKey::new("1");
    let (service, _issuer) = trusting(&[&key]).await;
    let mut soon = good_claims(ACME, "admin");
    soon["exp"] = json!(chrono::Utc::now().timestamp() + 1);
    let mut own = claims(ACME, Authority::Admin);
    own.expires_at = own.issued_at + 1;
    let clients = [
        service.bearer(&key.sign(&soon)),
        service.bearer(&signed(&own, SECRET)),
    ];
    for client in &clients {
        let _ = client.get("/api/auth/me").await.ok(200);
        let _ = client.get("/api/auth/me").await.ok(200);
    }
    // The tokens have expired and the leeway for clocks has passed.
    tokio::time::sleep(std::time::Duration::from_millis(7500)).await;
    for client in &clients {
        let request = client.request(Method::GET, "/api/auth/me");
        let _ = client.send(request).await.refused(401, "token_expired");
    }
}
