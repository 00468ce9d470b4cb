//! This module reads server-sent events as a browser's `EventSource` does.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use crate::{Client, Reply};

/// The media type of a response that may never end.
const EVENT_STREAM: &str = "text/event-stream";

/// Time limit for an event that must arrive.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// An open event stream.
pub struct Events {
    response: Response,
    unread: String,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The field `id`, which a client sends back as `Last-Event-ID`.
    pub id: i64,
    /// The field `data`, parsed as JSON.
    pub data: Value,
}

impl Client {
    /// Opens an event stream and expects the status 200.
    pub async fn listen(&self, path: &str) -> Events {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Events {
            response,
            unread: String::new(),
        }
    }
}

/// Reads a response's body. Of an event stream, reads only the first event, because more may never arrive.
pub(crate) async fn body(mut response: Response) -> Result<String, reqwest::Error> {
    if !is_stream(&response) {
        return response.text().await;
    }
    let mut text = String::new();
    while !(text.contains("data:") && text.ends_with("\n\n")) {
        let Some(bytes) = response.chunk().await? else {
            break;
        };
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    Ok(text)
}

fn is_stream(response: &Response) -> bool {
    let media_type = response.headers().get("content-type");
    media_type.is_some_and(|media_type| media_type == EVENT_STREAM)
}

impl Reply {
    /// True if the response is the beginning of an event stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.header("content-type") == EVENT_STREAM
    }
}

impl Events {
    /// The value of a response header; empty if the header is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let headers = self.response.headers();
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The next block of the stream, up to an empty line: an event or a comment. `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(block);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event, or `None` at the end of the stream.
    ///
    /// # Panics
    /// Neither arrives within 30 seconds.
    pub async fn next(&mut self) -> Option<Event> {
        let next = tokio::time::timeout(EVENT_TIMEOUT, self.next_whenever()).await;
        next.expect("neither an event nor the end of the stream arrived")
    }

    async fn next_whenever(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name));
                value.map(str::trim_start)
            };
            if let Some(data) = field("data:") {
                return Some(Event {
                    id: field("id:").unwrap().parse().unwrap(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
        }
    }

    /// The next comment of the stream (a line that starts with a colon), which is the keep-alive.
    ///
    /// # Panics
    /// No comment arrives within 30 seconds, or the stream ends.
    pub async fn comment(&mut self) -> String {
        let comment = async {
            loop {
                let block = self.block().await.expect("the stream has ended");
                if block.starts_with(':') {
                    return block;
                }
            }
        };
        let comment = tokio::time::timeout(EVENT_TIMEOUT, comment).await;
        comment.expect("no heartbeat arrived")
    }

    /// Collects the events that arrive within this time.
    pub async fn within(&mut self, time: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        let all = async {
            while let Some(event) = self.next_whenever().await {
                events.push(event);
            }
        };
        let _ = tokio::time::timeout(time, all).await;
        events
    }
}
