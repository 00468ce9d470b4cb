//! A Chromium that shows the pages of one service.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::Service;
use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, LoggingPrefsLogLevel};

/// The colour themes that a reader's system may ask for.
pub(super) const THEMES: [&str; 2] = ["light", "dark"];
/// The widths of a desktop and of a small telephone, in CSS pixels.
pub(super) const WIDTHS: [u32; 2] = [1280, 360];

const SWITCHES: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    // The browser ends with its driver, also when a test fails.
    "--remote-debugging-pipe",
];

/// A browser and its driver. Both end when it is dropped.
pub(super) struct Chromium {
    pub(super) driver: WebDriver,
    base: String,
    process: Child,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Chromium {
    /// Starts a browser. `None` on a machine without Chromium, where the test says so. In CI, that is a failure.
    pub(super) async fn at(service: &Service) -> Option<Self> {
        let mut process = match driver_process() {
            Ok(process) => process,
            Err(error) => {
                let missing =
                    format!("chromedriver does not start ({error}): .ci/setup installs it");
                assert!(std::env::var_os("CI").is_none(), "{missing}");
                eprintln!("NOT TESTED: {missing}");
                return None;
            }
        };
        let port = port_of(&mut process);
        let mut capabilities = DesiredCapabilities::chrome();
        for switch in SWITCHES {
            capabilities.add_arg(switch).unwrap();
        }
        capabilities
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities)
            .await
            .unwrap();
        Some(Self {
            driver,
            base: service.base.clone(),
            process,
        })
    }

    pub(super) async fn goto(&self, path: &str) {
        let address = format!("{}{path}", self.base);
        self.driver.goto(address).await.unwrap();
    }

    /// The path and query of the page.
    pub(super) async fn path(&self) -> String {
        let address = self.driver.current_url().await.unwrap();
        address.as_str().trim_start_matches(&self.base).to_owned()
    }

    pub(super) async fn find(&self, selector: &str) -> WebElement {
        let found = self.driver.find(By::Css(selector)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!(
                "{selector} on {}: {error}\n{}",
                self.path().await,
                self.text().await
            ),
        }
    }

    /// The visible text of the page; empty on the way from one page to the next.
    pub(super) async fn text(&self) -> String {
        match self.driver.find(By::Tag("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_no_page_yet) => String::new(),
        }
    }

    pub(super) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    pub(super) async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Logs the buyer of the demo in.
    pub(super) async fn log_in(&self) {
        self.goto("/shop/acme/login").await;
        self.fill("#f-email", "customer@example.com").await;
        self.fill("#f-password", "customer123").await;
        self.click("main form [type=submit]").await;
        self.until_text("You are logged in.").await;
    }

    /// Waits until the page shows a text.
    pub(super) async fn until_text(&self, text: &str) {
        for _ in 0..300 {
            if self.text().await.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "no {text:?} on {}:\n{}",
            self.path().await,
            self.text().await
        );
    }

    pub(super) async fn run(&self, script: &str) -> Value {
        let result = self.driver.execute(script, Vec::new()).await.unwrap();
        result.json().clone()
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub(super) async fn devtools(&self, method: &str, parameters: Value) {
        self.driver
            .cdp()
            .send_raw(method, parameters)
            .await
            .unwrap();
    }

    pub(super) async fn theme(&self, theme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    pub(super) async fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// What the browser complains about since the last call: errors of scripts, violations of the policy, missing files.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.unwrap();
        let serious = entries.into_iter().filter(|entry| entry.level == "SEVERE");
        serious.map(|entry| entry.message).collect()
    }

    /// The findings of axe-core on the page, each with the elements.
    pub(super) async fn findings(&self, axe: &str) -> Vec<String> {
        self.run(axe).await;
        let script = "const done = arguments[0];
            const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            axe.run(document, { runOnly }).then((result) => done(result.violations.map(
                (one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)));";
        let found = self.driver.execute_async(script, Vec::new()).await.unwrap();
        found.convert().unwrap()
    }

    /// Writes the whole page as a picture.
    pub(super) async fn photograph(&self, path: &Path, width: u32) {
        let height = self
            .run("return document.documentElement.scrollHeight")
            .await;
        let height = height.as_u64().unwrap().clamp(600, 4000);
        self.size(width, height.try_into().unwrap()).await;
        self.driver.screenshot(path).await.unwrap();
    }

    pub(super) async fn quit(self) {
        self.driver.clone().quit().await.unwrap();
    }
}

/// The script of axe-core, which `tests/axe/install` puts into the build folder.
pub(super) fn axe() -> String {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("axe/install");
    let output = Command::new(install)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "axe-core is installed");
    let path = String::from_utf8(output.stdout).unwrap();
    std::fs::read_to_string(path.trim()).unwrap()
}

/// The folder `target/screenshots`.
pub(super) fn screenshots() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.parent().unwrap().join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn driver_process() -> std::io::Result<Child> {
    Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// The port that the driver names in its output.
fn port_of(process: &mut Child) -> u16 {
    let output = BufReader::new(process.stdout.take().unwrap());
    for line in output.lines() {
        let line = line.unwrap();
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver names no port");
}
