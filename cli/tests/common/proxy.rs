//! Stands between a client and a server, and loses what a test wants to be lost. It works on threads of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use florin_net::header::REPLY_BIT;
use florin_net::limits::HEADER_BYTES;
use florin_net::{Header, Operation};

/// What becomes of the first reply to an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// It never arrives.
    Silence,
    /// The connection ends instead.
    Cut,
}

/// A proxy on a loopback port.
pub struct Proxy {
    address: SocketAddr,
    lost: Receiver<()>,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    lose: Option<(Operation, Loss)>,
    lost: AtomicBool,
    down: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Begins to forward to `server`.
    pub fn start(server: SocketAddr, lose: Option<(Operation, Loss)>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (sender, lost) = channel();
        let shared = Arc::new(Shared {
            server,
            lose,
            lost: AtomicBool::new(false),
            down: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is gone, or a test that ended.
                let _ = accepting.connect(client, sender.clone());
            }
        });
        Proxy { address, lost, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the reply was lost.
    pub fn wait_for_the_loss(&self) {
        self.lost.recv_timeout(Duration::from_secs(60)).expect("a reply that is lost");
    }

    /// Ends all connections, and every new one at once.
    pub fn cut(&self) {
        self.shared.down.store(true, Ordering::SeqCst);
        self.shared.end_all();
    }

    /// Forwards again.
    pub fn mend(&self) {
        self.shared.down.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn end_all(&self) {
        for socket in self.sockets.lock().expect("no panic").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn connect(self: &Arc<Shared>, client: TcpStream, sender: Sender<()>) -> io::Result<()> {
        let server = TcpStream::connect(self.server)?;
        self.sockets.lock().expect("no panic").extend([client.try_clone()?, server.try_clone()?]);
        if self.down.load(Ordering::SeqCst) {
            self.end_all();
        }
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let shared = self.clone();
        std::thread::spawn(move || {
            let _ = shared.forward_replies(&server, &client, &sender);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    fn forward_replies(&self, mut from: &TcpStream, mut to: &TcpStream, sender: &Sender<()>) -> io::Result<()> {
        loop {
            let mut head = [0; HEADER_BYTES];
            from.read_exact(&mut head)?;
            let header = Header::decode(&head).expect("the server sends headers");
            let mut payload = vec![0; header.length as usize];
            from.read_exact(&mut payload)?;
            if let Some((operation, loss)) = self.lose
                && header.operation == operation as u8 | REPLY_BIT
                && !self.lost.swap(true, Ordering::SeqCst)
            {
                let _ = sender.send(());
                match loss {
                    Loss::Silence => continue,
                    Loss::Cut => return Ok(()),
                }
            }
            to.write_all(&head)?;
            to.write_all(&payload)?;
        }
    }
}
