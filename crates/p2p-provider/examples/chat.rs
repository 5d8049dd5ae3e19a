//! Peers that chat, each connected to each: `cargo run --release -p p2p-provider --example chat`.
//!
//! Without arguments three peers hold a scripted conversation in this process, and leave. To chat yourself, in one
//! terminal each:
//!
//! ```sh
//! cargo run --release -p p2p-provider --example chat -- --name alice
//! cargo run --release -p p2p-provider --example chat -- --name bob --join ADDRESS
//! ```
//!
//! ADDRESS is what the first one prints. Everybody joins the same peer, which introduces them to those who are there.
#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::{collections::BTreeMap, error::Error, io::BufRead, time::Duration};

use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PListener, P2PProvider, PeerAddr, PeerId, SecretKey,
    iroh::{IrohConfig, IrohConnection, IrohListener, IrohP2P},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PROTOCOL: &[u8] = b"example/chat/1";

/// Lines that wait for somebody: beyond it a member who does not read is let go, rather than holding up the others.
const QUEUE: usize = 256;

/// Members at once; whoever comes then is sent away. What strangers can make us hold is always bounded.
const MEMBERS_MAX: usize = 64;

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// Longer than the script takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is said, and by whom.
const SCRIPT: [(usize, &str); 5] = [
    (0, "who is there?"),
    (1, "bob, straight from my machine to yours"),
    (2, "carol; alice told me where bob is, and I called him myself"),
    (0, "so nobody sits in between"),
    (1, "I have to go"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => timeout(PATIENCE, script()).await?,
        ["--name", name] => talk(name, None).await,
        ["--name", name, "--join", address] => talk(name, Some(parse(address)?)).await,
        _ => Err("usage: chat [--name NAME [--join ADDRESS]]".into()),
    }
}

/// Three peers, one conversation.
async fn script() -> Result<()> {
    let alice = Chat::open("alice", None).await?;
    let bob = Chat::open("bob", Some(alice.address())).await?;
    let carol = Chat::open("carol", Some(alice.address())).await?;
    let mut chats = [alice, bob, carol];

    // Everybody sees the two others come, in whatever order.
    for chat in &mut chats {
        for _ in 0..2 {
            let Event::Came(_) = chat.next().await? else { return Err("somebody spoke too early".into()) };
        }
        println!("{} is connected to two others", chat.name);
    }
    for (speaker, text) in SCRIPT {
        let name = chats[speaker].name.clone();
        println!("{name}: {text}");
        chats[speaker].say(text).await?;
        // The next one speaks when all have heard it, so there is one order for all.
        for listener in (0..chats.len()).filter(|listener| *listener != speaker) {
            let heard = chats[listener].next().await?;
            assert_eq!(heard, Event::Said(name.clone(), text.to_owned()), "what {} hears", chats[listener].name);
        }
    }
    let [mut alice, bob, mut carol] = chats;
    bob.close().await;
    for chat in [&mut alice, &mut carol] {
        assert_eq!(chat.next().await?, Event::Left("bob".to_owned()), "a good-bye is noticed at once");
    }
    println!("bob has left");
    carol.close().await;
    alice.close().await;
    Ok(())
}

/// A chat between this terminal and others.
async fn talk(name: &str, join: Option<PeerAddr>) -> Result<()> {
    let mut chat = Chat::open(name, join).await?;
    let address = chat.address();
    let direct = address.direct.first().ok_or("this peer has no address")?;
    println!("others join with: --join {}@{direct}", address.id);

    let (lines, mut typed) = mpsc::channel(1);
    // A thread, because reading a terminal cannot be waited for otherwise. It ends with the process.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                Some(line) => chat.say(&line).await?,
                // Ctrl-D.
                None => break,
            },
            event = chat.next() => match event? {
                Event::Came(name) => println!("* {name} is here"),
                Event::Left(name) => println!("* {name} has left"),
                Event::Said(name, text) => println!("{name}: {text}"),
            },
        }
    }
    chat.close().await;
    Ok(())
}

/// `ID@IP:PORT`.
fn parse(text: &str) -> Result<PeerAddr> {
    let (id, address) = text.split_once('@').ok_or("an address is ID@IP:PORT, as the first peer prints it")?;
    Ok(PeerAddr { direct: vec![address.parse()?], ..PeerAddr::new(id.parse()?) })
}

/// What one peer tells another. Each is one message, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Line {
    /// The first one, from both sides.
    Hello { name: String, address: PeerAddr, introduce: bool },
    /// The answer to a hello that asks for it: who else is there.
    Others(Vec<PeerAddr>),
    /// Something for people.
    Say(String),
}

/// What happens in a chat.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Came(String),
    Left(String),
    Said(String, String),
}

/// One peer of a chat, as whoever uses it sees it. The work is done by a task that it owns.
struct Chat {
    name: String,
    peer: IrohP2P,
    say: mpsc::Sender<String>,
    events: mpsc::Receiver<Event>,
    room: JoinSet<()>,
}

impl Chat {
    /// Opens a peer and joins another one.
    async fn open(name: &str, join: Option<PeerAddr>) -> Result<Self> {
        let peer = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
        let listener = peer.listen(&[PROTOCOL]).await?;
        let (say, said) = mpsc::channel(QUEUE);
        let (events, received) = mpsc::channel(QUEUE);
        let (heard, hearing) = mpsc::channel(QUEUE);
        let mut room = Room {
            name: name.to_owned(),
            peer: peer.clone(),
            members: BTreeMap::new(),
            calls: JoinSet::new(),
            heard,
            events,
        };
        if let Some(address) = join {
            room.call(&address, true).await?;
        }
        let mut task = JoinSet::new();
        task.spawn(room.run(listener, said, hearing));
        Ok(Self { name: name.to_owned(), peer, say, events: received, room: task })
    }

    fn address(&self) -> PeerAddr {
        self.peer.local_addr()
    }

    async fn say(&self, text: &str) -> Result<()> {
        Ok(self.say.send(text.to_owned()).await?)
    }

    /// Cancel safe.
    async fn next(&mut self) -> Result<Event> {
        self.events.recv().await.ok_or_else(|| "the chat is over".into())
    }

    async fn close(mut self) {
        self.peer.close().await;
        self.room.shutdown().await;
    }
}

/// What a peer knows of the others. One task has it, so nothing is locked.
struct Room {
    name: String,
    peer: IrohP2P,
    members: BTreeMap<PeerId, Member>,
    /// One task per connection.
    calls: JoinSet<()>,
    /// What those tasks hear; `None` is the end.
    heard: mpsc::Sender<(PeerId, Option<Line>)>,
    events: mpsc::Sender<Event>,
}

struct Member {
    /// Known once it has said hello.
    hello: Option<(String, PeerAddr)>,
    lines: mpsc::Sender<Line>,
}

impl Room {
    async fn run(
        mut self,
        mut listener: IrohListener,
        mut said: mpsc::Receiver<String>,
        mut hearing: mpsc::Receiver<(PeerId, Option<Line>)>,
    ) {
        loop {
            let done = tokio::select! {
                connection = listener.accept() => match connection {
                    Some(connection) => { self.add(connection, false); Ok(()) }
                    None => return,
                },
                Some(text) = said.recv() => { self.tell_all(&Line::Say(text)); Ok(()) }
                Some((from, line)) = hearing.recv() => self.hear(from, line).await,
                Some(_) = self.calls.join_next(), if !self.calls.is_empty() => Ok(()),
            };
            if let Err(error) = done {
                // One peer that is not there is no reason to leave the others.
                println!("* {error}");
            }
        }
    }

    /// Calls a peer.
    async fn call(&mut self, address: &PeerAddr, introduce: bool) -> Result<()> {
        let connection = self.peer.connect(address, &ConnectionConfig::new(PROTOCOL)).await?;
        self.add(connection, introduce);
        Ok(())
    }

    /// Takes in a connection, whoever has made it, and says hello.
    fn add(&mut self, connection: IrohConnection, introduce: bool) {
        let id = connection.peer_info().id;
        if self.members.len() >= MEMBERS_MAX || self.members.contains_key(&id) {
            connection.close(1, "there is no place");
            return;
        }
        let (lines, outgoing) = mpsc::channel(QUEUE);
        let hello = Line::Hello { name: self.name.clone(), address: self.peer.local_addr(), introduce };
        lines.try_send(hello).expect("the queue is empty");
        self.members.insert(id, Member { hello: None, lines });
        self.calls.spawn(carry(connection, outgoing, self.heard.clone()));
    }

    async fn hear(&mut self, from: PeerId, line: Option<Line>) -> Result<()> {
        let Some(member) = self.members.get_mut(&from) else { return Ok(()) };
        let event = match line {
            Some(Line::Hello { name, address, introduce }) => {
                member.hello = Some((name.clone(), address));
                if introduce {
                    // All who have said hello before: of any two members it is the later one that calls the other.
                    let others = self.members.iter().filter(|(id, _)| **id != from);
                    let others = others.filter_map(|(_, member)| Some(member.hello.clone()?.1)).collect();
                    self.members[&from].lines.try_send(Line::Others(others))?;
                }
                Event::Came(name)
            }
            Some(Line::Others(others)) => {
                for address in others {
                    if let Err(error) = self.call(&address, false).await {
                        println!("* {error}");
                    }
                }
                return Ok(());
            }
            // The name is that of the connection: nobody can speak as somebody else.
            Some(Line::Say(text)) => match &member.hello {
                Some((name, _)) => Event::Said(name.clone(), text),
                None => return Ok(()),
            },
            None => match self.members.remove(&from).and_then(|member| member.hello) {
                Some((name, _)) => Event::Left(name),
                None => return Ok(()),
            },
        };
        Ok(self.events.send(event).await?)
    }

    fn tell_all(&mut self, line: &Line) {
        // Dropping the queue of a member ends its connection.
        self.members.retain(|_, member| member.lines.try_send(line.clone()).is_ok());
    }
}

/// Carries lines over one connection, in both directions at once, until one of them ends.
async fn carry(
    connection: IrohConnection,
    mut outgoing: mpsc::Receiver<Line>,
    heard: mpsc::Sender<(PeerId, Option<Line>)>,
) {
    let id = connection.peer_info().id;
    // One for each direction, so that neither waits for the other.
    let (mut to_peer, mut from_peer) = (connection.messages(), connection.messages());
    let send = async {
        while let Some(line) = outgoing.recv().await {
            to_peer.send(serde_json::to_vec(&line)?.into()).await?;
        }
        Result::Ok(())
    };
    let receive = async {
        while let Some(message) = from_peer.recv().await? {
            // A peer may send anything: what is too long or not a line ends the connection, and nothing else.
            if message.len() > LINE_BYTES_MAX {
                return Err("a line is too long".into());
            }
            heard.send((id, Some(serde_json::from_slice(&message)?))).await?;
        }
        Result::Ok(())
    };
    // Either end is the end; why does not matter to the others.
    let _ = tokio::select! { ended = send => ended, ended = receive => ended };
    connection.close(0, "bye");
    // Nobody listens any more once this chat itself is closed.
    let _ = heard.send((id, None)).await;
}
