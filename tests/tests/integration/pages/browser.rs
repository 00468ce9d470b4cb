//! A browser without scripts: it keeps cookies, follows no redirection by itself, and sends the forms of pages.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::demo::ACME;
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use reqwest::Method;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use tests::Service;

/// A browser at one service.
pub(super) struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// A response.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// A form of a page.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) action: String,
    pub(super) method: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Browser {
    pub(super) fn at(service: &Service) -> Self {
        let redirects = reqwest::redirect::Policy::none();
        Self {
            http: reqwest::Client::builder()
                .redirect(redirects)
                .build()
                .unwrap(),
            base: service.base.clone(),
            cookies: RefCell::default(),
        }
    }

    /// A browser that has logged in at this store.
    pub(super) async fn logged_in(
        service: &Service,
        slug: &str,
        email: &str,
        password: &str,
    ) -> Self {
        let browser = Self::at(service);
        let page = browser.log_in(slug, email, password).await;
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    pub(super) async fn log_in(&self, slug: &str, email: &str, password: &str) -> Page {
        let path = format!("/shop/{slug}/login");
        self.send(&path, &[("email", email), ("password", password)])
            .await
    }

    /// The same browser with the same cookies, at another instance.
    pub(super) fn moved_to(&self, service: &Service) -> Self {
        let moved = Self::at(service);
        moved.cookies.replace(self.cookies.borrow().clone());
        moved
    }

    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    pub(super) fn set_cookie(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(super) async fn get(&self, path: &str) -> Page {
        self.request(Method::GET, path, &[], &[]).await
    }

    /// Sends a form from a page of the same site.
    pub(super) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let origin = self.base.clone();
        self.request(Method::POST, path, fields, &[(ORIGIN.as_str(), &origin)])
            .await
    }

    /// Sends a form of a page as it is.
    pub(super) async fn submit(&self, form: &Form) -> Page {
        let fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.send(&form.action, &fields).await
    }

    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        if method == Method::POST {
            request = request.form(fields);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookies.borrow().clone();
        if !cookies.is_empty() {
            let cookies: Vec<String> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        let response = request.send().await.unwrap();
        let page = Page {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        };
        self.keep(&page);
        page
    }

    fn keep(&self, page: &Page) {
        for cookie in page.set_cookies() {
            let (pair, flags) = cookie.split_once(';').unwrap_or((&cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if flags.contains("Max-Age=0") {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.set_cookie(name, value);
            }
        }
    }
}

impl Page {
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn set_cookies(&self) -> Vec<String> {
        let all = self.headers.get_all(SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    /// Where a redirection leads.
    #[track_caller]
    pub(super) fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.header(LOCATION.as_str())
    }

    /// Asserts a page with this status.
    #[track_caller]
    pub(super) fn shows(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        &self.text
    }

    /// The addresses of all links.
    pub(super) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        self.each(&mut |node| {
            if let Some(("a", attributes)) = element(node).as_ref().map(|(n, a)| (n.as_str(), a)) {
                links.extend(attributes.get("href").cloned());
            }
        });
        links
    }

    /// The addresses of all files that the page loads.
    pub(super) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        self.each(&mut |node| {
            let Some((name, attributes)) = element(node) else {
                return;
            };
            match name.as_str() {
                "script" | "img" => files.extend(attributes.get("src").cloned()),
                "link" => files.extend(attributes.get("href").cloned()),
                "use" => files.extend(attributes.get("href").cloned()),
                _ => {}
            }
        });
        files
    }

    /// All forms.
    pub(super) fn forms(&self) -> Vec<Form> {
        let mut forms: Vec<Form> = Vec::new();
        self.each(&mut |node| {
            let Some((name, attributes)) = element(node) else {
                return;
            };
            let get = |name: &str| attributes.get(name).cloned().unwrap_or_default();
            match (name.as_str(), forms.last_mut()) {
                ("form", _) => forms.push(Form {
                    action: get("action"),
                    method: get("method"),
                    fields: Vec::new(),
                }),
                ("input" | "textarea" | "select", Some(form)) if !get("name").is_empty() => {
                    form.fields.push((get("name"), get("value")));
                }
                _ => {}
            }
        });
        forms
    }

    /// The form that is sent to this path.
    #[track_caller]
    pub(super) fn form(&self, action: &str) -> Form {
        let forms = self.forms();
        let form = forms.iter().find(|form| form.action == action);
        form.unwrap_or_else(|| panic!("no form to {action} in {}", self.text))
            .clone()
    }

    /// The names of all elements and attributes, to find what was injected.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.each(&mut |node| {
            if let Some((name, attributes)) = element(node) {
                names.push(name);
                names.extend(attributes.into_keys());
            }
        });
        names
    }

    fn each(&self, visit: &mut dyn FnMut(&Handle)) {
        let dom = parse_document(RcDom::default(), ParseOpts::default()).one(self.text.as_str());
        walk(&dom.document, visit);
    }
}

impl Form {
    /// The form with another value in a field.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(other, _)| other != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Sessions at Acme, each of another customer. Returns the values of their cookies. They are written as a login writes
/// them, which would take a tenth of a second each for the password.
pub(super) async fn sessions(service: &Service, count: usize) -> Vec<String> {
    let business = URL_SAFE_NO_PAD.encode(ACME.0.as_bytes());
    let sql = format!(
        "WITH numbers AS (
             SELECT n, gen_random_uuid() AS id, 'tl_session_{business}' || lpad(n::text, 43, '0') AS token
               FROM generate_series(1, {count}) AS n
         ), customer AS (
             INSERT INTO customers (business_id, id, name, credit_limit)
             SELECT '{ACME}', id, 'Buyer ' || n, 1000 FROM numbers
         ), buyer AS (
             INSERT INTO users (business_id, id, email, name, password_hash, role, customer_id)
             SELECT '{ACME}', id, 'buyer' || n || '@example.com', 'Buyer ' || n, 'none', 'customer', id FROM numbers
             RETURNING id, version
         )
         INSERT INTO sessions (business_id, id, user_id, user_version, token_hash, expires_at)
         SELECT '{ACME}', id, id, version, sha256(token::bytea), now() + interval '1 day'
           FROM numbers JOIN buyer USING (id)"
    );
    service.database.execute(&sql).await;
    let numbers = 1..=count;
    numbers
        .map(|number| format!("tl_session_{business}{number:043}"))
        .collect()
}

fn walk(node: &Handle, visit: &mut dyn FnMut(&Handle)) {
    visit(node);
    for child in node.children.borrow().iter() {
        walk(child, visit);
    }
}

/// The name of an element, and its attributes.
fn element(node: &Handle) -> Option<(String, BTreeMap<String, String>)> {
    let NodeData::Element { name, attrs, .. } = &node.data else {
        return None;
    };
    let attributes = attrs.borrow();
    let attributes = attributes.iter();
    let attributes = attributes.map(|attribute| {
        let name = attribute.name.local.to_string();
        (name, attribute.value.to_string())
    });
    Some((name.local.to_string(), attributes.collect()))
}
