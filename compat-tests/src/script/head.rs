//! The head of an HTTP/1.1 request, read byte by byte.

use tokio::io::{AsyncRead, AsyncReadExt};

/// More than any client of a case sends.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// Method, target and fields.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The fields, their names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Reads up to the last byte of the empty line, which stays unread: closing the stream now resets it. `None` at the end
    /// of the stream, or if it is no head.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r") {
            if bytes.len() == HEAD_BYTES_MAX {
                return None;
            }
            bytes.push(stream.read_u8().await.ok()?);
        }
        let text = String::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { method, target, fields: lines.filter_map(field).collect() })
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    /// Reads the rest of the head, and the body that it declares.
    pub(super) async fn skip_rest(&self, stream: &mut (impl AsyncRead + Unpin)) -> Option<()> {
        let length: usize = self.field("content-length").map_or(Some(0), |length| length.parse().ok())?;
        let mut body = vec![0; 1 + length];
        stream.read_exact(&mut body).await.ok().map(drop)
    }
}
