//! A file that arrives whole, though the connection is cut on the way:
//! `cargo run --release -p tunnel-p2p --example file_transfer`, or `.. --example file_transfer -- FILE` for one of yours.
//!
//! A host serves a directory. A client fetches a file from it; in the middle the connection is torn down. The client
//! connects again by itself, asks for the rest only (`range`), and for that only if the file is still the same
//! (`if-range`). At the end the SHA-256 of both sides are compared.
#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::{
    error::Error,
    io::{Read, Write},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use indicatif::{ProgressBar, ProgressStyle};
use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom},
    time::timeout,
};
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, RequestHead, Response, Transport, WsOpen, WsUpgrade};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, TicketSecret};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The file that is made if none is given: far more than lies in buffers on the way, so that a cut in the middle hits.
const GENERATED_BYTES: usize = 64 << 20;

/// One piece of a response.
const PIECE_BYTES: usize = 64 << 10;

/// How often the client asks for the rest before it gives up.
const ATTEMPTS_MAX: usize = 5;

/// Longer than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let source = match std::env::args_os().nth(1) {
        Some(file) => PathBuf::from(file).canonicalize()?,
        None => generate(scratch.path())?,
    };
    timeout(PATIENCE, transfer(&source, &scratch.path().join("received"))).await?
}

async fn transfer(source: &Path, target: &Path) -> Result<()> {
    let name = source.file_name().and_then(|name| name.to_str()).ok_or("the file has no name")?;
    let directory = source.parent().ok_or("the file is in no directory")?.to_owned();

    // At home: a peer, and behind it whatever answers requests. Here a directory; `tunnel-edge` has a handler for any
    // HTTP server.
    let home = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    let host =
        Host::start(home.clone(), Arc::new(Files { directory }), HostConfig::new(TicketSecret::generate())).await?;

    // Elsewhere: the ticket is all that a client needs. In real life it has come by a QR code or a message.
    let away = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
    let ticket = host.ticket().to_string();
    let client = Client::start(away.clone(), ticket.parse()?, ClientConfig::default());

    let mut download = Download::new(target)?;
    let progress = download.progress.clone();
    // Lines for people, not in the middle of the bar.
    let say = |text: String| progress.suspend(|| println!("{text}"));
    let mut attempts = 0;
    loop {
        attempts += 1;
        // What the network does to you, here on purpose and once: in the first attempt, half way.
        let cut = || {
            say("the connection is cut".to_owned());
            home.disconnect(away.local_peer_id(), 0, "somebody has pulled the plug");
        };
        match download.fetch(&client, name, (attempts == 1).then_some(&cut)).await {
            Ok(()) => break,
            // A body that is cut is an error, never a short file: only so does the client know that it must go on.
            Err(error) if attempts < ATTEMPTS_MAX => say(format!("after {} bytes: {error}", download.received)),
            Err(error) => return Err(error),
        }
    }
    // A small file is on its way as a whole before anybody can cut anything.
    if attempts < 2 && download.received >= GENERATED_BYTES as u64 {
        return Err("the cut went unnoticed".into());
    }
    let (received, sent) = (download.finish()?, digest(source)?);
    println!("sha-256 at home  {sent}");
    println!("sha-256 here     {received}");
    if received != sent {
        return Err("the files differ".into());
    }
    println!("{name} arrived whole, in {attempts} {}", if attempts == 1 { "piece" } else { "pieces" });
    client.close();
    host.drain(Duration::from_secs(5)).await;
    home.close().await;
    away.close().await;
    Ok(())
}

/// A file on its way here.
struct Download {
    file: std::fs::File,
    received: u64,
    hash: Sha256,
    /// Which version of the file the bytes are of.
    etag: Option<http::HeaderValue>,
    progress: ProgressBar,
}

impl Download {
    fn new(target: &Path) -> Result<Self> {
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}")?;
        Ok(Self {
            file: std::fs::File::create(target)?,
            received: 0,
            hash: Sha256::new(),
            etag: None,
            // On stderr, and only if that is a terminal.
            progress: ProgressBar::new(0).with_style(style),
        })
    }

    /// Fetches what is missing. Calls `half_way` when half of the file is here.
    async fn fetch(&mut self, client: &Client<IrohP2P>, name: &str, half_way: Option<&impl Fn()>) -> Result<()> {
        let mut request = http::Request::get(format!("/{name}"));
        if let Some(etag) = &self.etag {
            request = request.header(header::RANGE, format!("bytes={}-", self.received));
            // If the file has changed meanwhile, the host sends the new one from its beginning.
            request = request.header(header::IF_RANGE, etag);
        }
        let request = Request::http(0, request.body(())?.into_parts().0, Body::empty());
        let response = client.send(request).await.map_err(|error| error.failure().clone())?;
        match response.status {
            StatusCode::PARTIAL_CONTENT => {
                self.progress.suspend(|| println!("the host sends the rest, from byte {}", self.received));
            }
            StatusCode::OK if self.received == 0 => {}
            StatusCode::OK => return Err("the file has changed; begin again".into()),
            other => return Err(format!("the host answers {other}").into()),
        }
        self.etag = response.headers.get(header::ETAG).cloned();
        let length: u64 = response.headers.get(header::CONTENT_LENGTH).ok_or("no length")?.to_str()?.parse()?;
        let total = self.received + length;
        self.progress.set_length(total);

        let mut half_way = half_way;
        let mut body = response.body;
        // Reading slowly would slow the host down; what is on the way is bounded.
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                self.file.write_all(&piece)?;
                self.hash.update(&piece);
                self.received += piece.len() as u64;
                self.progress.set_position(self.received);
            }
            if self.received * 2 > total
                && let Some(half_way) = half_way.take()
            {
                half_way();
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<String> {
        self.progress.finish_and_clear();
        self.file.flush()?;
        Ok(HEXLOWER.encode(&self.hash.finalize()))
    }
}

/// A directory, for whoever has the ticket.
struct Files {
    directory: PathBuf,
}

#[async_trait]
impl Handler for Files {
    async fn http(&self, request: Request) -> std::result::Result<Response, Failure> {
        let RequestHead::Http(head) = request.head else {
            return Err(Failure::new(FailureKind::BadRequest, "only HTTP, please"));
        };
        self.file(head.uri.path(), &head.headers)
            .await
            .map_err(|error| Failure::new(FailureKind::ServiceFailed, format!("the file cannot be read: {error}")))
    }

    async fn ws(&self, _open: WsOpen) -> std::result::Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::BadRequest, "no WebSockets here"))
    }
}

impl Files {
    async fn file(&self, path: &str, headers: &HeaderMap) -> std::io::Result<Response> {
        // One plain name: nothing outside the directory, and nothing in directories below.
        let name = Path::new(path.trim_start_matches('/'));
        let plain = matches!(name.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        let file = if plain { File::open(self.directory.join(name)).await.ok() } else { None };
        let Some(mut file) = file else {
            return Ok(Response::new(StatusCode::NOT_FOUND, Body::full("there is no such file\n")));
        };
        let metadata = file.metadata().await?;
        let length = metadata.len();
        // Strong enough for a file that nobody writes to in place; a hash of its content would be stronger.
        let changed = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let etag = format!("\"{length:x}-{:x}\"", changed.as_nanos());

        let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let same = value(header::IF_RANGE).is_none_or(|asked| asked == etag);
        let first = value(header::RANGE).filter(|_| same).and_then(first_byte).filter(|first| *first < length);
        file.seek(SeekFrom::Start(first.unwrap_or(0))).await?;

        let mut response = Response::new(StatusCode::OK, pieces(file));
        let mut set = |name, text: String| {
            response.headers.insert(name, text.parse().expect("digits and punctuation are a header value"));
        };
        set(header::ETAG, etag);
        set(header::CONTENT_LENGTH, (length - first.unwrap_or(0)).to_string());
        if let Some(first) = first {
            set(header::CONTENT_RANGE, format!("bytes {first}-{}/{length}", length - 1));
            response.status = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }
}

/// Of `bytes=N-`, the one form that is needed here; another form is answered with the whole file, which is allowed.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// The rest of a file, read only as fast as it is taken. If the client goes away this is dropped, and the file closed.
fn pieces(file: File) -> Body {
    let stream = futures::stream::try_unfold(file, async |mut file| {
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece).await {
            Ok(0) => Ok(None),
            Ok(count) => {
                piece.truncate(count);
                Ok(Some((Frame::data(Bytes::from(piece)), file)))
            }
            Err(error) => Err(Failure::new(FailureKind::ServiceFailed, error.to_string())),
        }
    });
    Body::stream(StreamBody::new(stream))
}

/// Numbers that no two places have in common, so that a piece in the wrong place would be noticed.
fn generate(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("generated.bin");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    for number in 0..GENERATED_BYTES as u64 / 8 {
        file.write_all(&number.to_be_bytes())?;
    }
    file.flush()?;
    Ok(path)
}

fn digest(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(HEXLOWER.encode(&hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}
