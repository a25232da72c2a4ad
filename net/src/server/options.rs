//! How a server behaves: addresses, budgets, time limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use florin_core::limits::REQUEST_ITEMS_MAX;

/// Limits and times of a server. Whatever they are, a request that fits the protocol is taken once nothing is before
/// it.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Address to listen on, for callers that keep it with the options; [`super::serve`] listens where it is told to.
    pub listen: SocketAddr,
    /// Most transactions, openings and changes under way, over all connections.
    pub in_flight_rows_max: usize,
    /// Most bytes of what changes the ledger under way, requests and their largest possible replies, over all connections.
    pub in_flight_bytes_max: usize,
    /// Most bytes of reads under way, requests and their largest possible replies, over all connections: apart from the bytes
    /// of what changes the ledger, so that no posting waits for a peer that does not read.
    pub reading_bytes_max: usize,
    /// Most bytes of requests larger than a read chunk that are being received, over all connections.
    pub receiving_bytes_max: usize,
    /// Most requests of one connection under way.
    pub connection_requests_max: u32,
    /// Most bytes of requests and of their largest possible replies under way on one connection.
    pub connection_bytes_max: usize,
    /// Most watches that wait or are being served, over all connections; further ones get an error reply.
    pub watches_max: usize,
    /// Most watches of one connection that wait or are being served; further ones get an error reply.
    pub connection_watches_max: u32,
    /// Most bytes of pages that are being read for watches, over all connections: apart from all others, so that nobody waits for
    /// a watch but watches.
    pub watch_bytes_max: usize,
    /// Most bytes of pages of watches that are read and not written to the socket yet, over all connections.
    pub watch_replies_bytes_max: usize,
    /// How long the engine is asked to wait for a watch at a time: so soon it forgets one whose connection is gone.
    pub watch_slice: Duration,
    /// Most connections; further ones get an error reply.
    pub connections_max: usize,
    /// From connecting to the end of the hello.
    pub handshake_timeout: Duration,
    /// From the first byte of a frame to its last. A connection between frames may be idle for ever.
    pub frame_timeout: Duration,
    /// How long a peer may leave its replies unread.
    pub write_timeout: Duration,
    /// How long the peer may take to close after an error reply.
    pub linger: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7_440)),
            in_flight_rows_max: 16 * REQUEST_ITEMS_MAX,
            in_flight_bytes_max: 192 << 20,
            reading_bytes_max: 128 << 20,
            receiving_bytes_max: 16 << 20,
            connection_requests_max: 1_024,
            connection_bytes_max: 8 << 20,
            watches_max: 10_000,
            connection_watches_max: 16,
            watch_bytes_max: 64 << 20,
            watch_replies_bytes_max: 128 << 20,
            watch_slice: Duration::from_secs(5),
            connections_max: 10_000,
            handshake_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(2),
        }
    }
}
