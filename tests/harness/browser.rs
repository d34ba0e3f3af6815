//! A real Chromium without a window, driven through `chromedriver` by the WebDriver protocol (W3C), as a person would: it types,
//! presses buttons, and what it shows is read back from it.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    expect::{Peer, eventually},
    http,
    process::Process,
};

/// The name under which WebDriver hands out elements (WebDriver §11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long one command may take: the browser starts within one of them, on a machine that may be loaded.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with a profile of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    address: SocketAddr,
    session: String,
    #[expect(dead_code, reason = "kept for as long as the browser runs")]
    driver: Process,
    #[expect(dead_code, reason = "kept for as long as the browser runs")]
    profile: TempDir,
}

/// What the browser was asked for is not so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WebDriverError(String);

/// Light or dark, as the person's system is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Browser {
    /// The peers it needs.
    pub const PEERS: [Peer; 2] = [Peer::Chromium, Peer::Chromedriver];

    /// Starts one.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Self {
        let mut driver = Process::start(Command::new(Peer::Chromedriver.path().unwrap()).arg("--port=0"));
        let mut port = None;
        let output = |driver: &Process| {
            let lines = driver.output();
            let line =
                lines.iter().find_map(|line| line.split_once("started successfully on port "))?.1.to_owned();
            line.trim_end_matches('.').parse::<u16>().ok()
        };
        eventually("chromedriver", || {
            port = output(&driver);
            port
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        driver.wait_unless_ended("chromedriver to listen", || TcpStream::connect(address).is_ok());
        let profile = tempfile::Builder::new().prefix("provision-browser-").tempdir().unwrap();
        let arguments = [
            "--headless=new".to_owned(),
            // Root has no sandbox to start; the pages are our own.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            // Nothing of its own reaches for the network.
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--no-first-run".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": Peer::Chromium.path().unwrap(), "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let begun = command(address, "POST", "/session", Some(&wanted)).expect("a browser");
        let session = begun["sessionId"].as_str().unwrap().to_owned();
        Self { address, session, driver, profile }
    }

    /// Opens an address, and waits until the page is there.
    ///
    /// # Panics
    /// It does not open.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// The address of the page that is open.
    ///
    /// # Panics
    /// There is none.
    pub fn url(&self) -> String {
        self.ask("GET", "/url", None).as_str().unwrap().to_owned()
    }

    /// Types into the element that a CSS selector finds, and presses Enter where the text has a line feed.
    ///
    /// # Panics
    /// There is no such element.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        let text = text.replace('\n', "\u{e007}");
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses what a CSS selector finds.
    ///
    /// # Panics
    /// There is no such element.
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// The text that a person sees of the element.
    ///
    /// # Panics
    /// There is no such element.
    pub fn text(&self, selector: &str) -> String {
        let element = self.element(selector);
        self.ask("GET", &format!("/element/{element}/text"), None).as_str().unwrap().to_owned()
    }

    /// What a function body of JavaScript returns.
    ///
    /// # Panics
    /// It throws.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Makes the window so wide, in CSS pixels, and sets light or dark.
    ///
    /// # Panics
    /// The browser refuses.
    pub fn looks(&self, width: u32, scheme: Scheme) {
        let is_phone = width < 600;
        self.devtools("Emulation.setDeviceMetricsOverride", &json!({
            "width": width, "height": if is_phone { 844 } else { 900 }, "deviceScaleFactor": if is_phone { 2 } else { 1 }, "mobile": is_phone,
        }));
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// With or without JavaScript from the next page on.
    ///
    /// # Panics
    /// The browser refuses.
    pub fn set_scripting(&self, enabled: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !enabled }));
    }

    /// A picture of the page's first screens, as PNG in Base64.
    ///
    /// # Panics
    /// The browser gives none.
    pub fn picture(&self) -> String {
        let width = self.run("return window.innerWidth");
        let height = self.run("return Math.min(2000, document.documentElement.scrollHeight)");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        self.devtools("Page.captureScreenshot", &wanted)["data"].as_str().unwrap().to_owned()
    }

    /// What the console was told since the last time: errors of scripts, refused resources, failed requests.
    ///
    /// # Panics
    /// The browser keeps no log.
    pub fn console(&self) -> Vec<String> {
        let entries = self.log("browser");
        entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Every address that was asked for since the last time.
    ///
    /// # Panics
    /// The browser keeps no log.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.log("performance");
        let events =
            entries.iter().filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        events
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| Some(event["message"]["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }

    fn devtools(&self, name: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let path = format!("/session/{}{path}", self.session);
        command(self.address, method, &path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; chromedriver ends with its process.
        let _ = command(self.address, "DELETE", &format!("/session/{}", self.session), None);
    }
}

/// Sends one command; the value of its answer (WebDriver §6).
fn command(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, WebDriverError> {
    let told = |error: &dyn std::fmt::Display| WebDriverError(error.to_string());
    let answer = exchange(address, method, path, body).map_err(|error| told(&error))?;
    let answered: Value = serde_json::from_slice(&answer.body).map_err(|error| told(&error))?;
    let value = answered.get("value").cloned().unwrap_or_default();
    if answer.status == 200 { Ok(value) } else { Err(told(&value["message"])) }
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<http::Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    http::read_response(&mut io::BufReader::new(stream), method)?
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
