//! The socket, with bounds: a connection that says nothing, or says it a byte at a time, holds its place for less than two minutes. The
//! webhook is open to anybody, so this is before any request is read.
//!
//! One address cannot have all places, and many addresses together can: places come free by time alone. Addresses of IPv6 count by their
//! /64, which is what one customer has. Loopback has no limit of its own, because a proxy on this host brings everybody's requests from
//! there; one on another host is an address as any other, and its limit is a setting.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// How much a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once. Further ones wait in the system's queue.
    pub connections_max: u32,
    /// Connections at once from one address (IPv6: one /64) that is not loopback. Further ones are closed at once.
    pub of_address_max: u32,
    /// A connection on which no request begins for so long is closed, and one whose answer is not taken. Proxies keep connections for 60 s:
    /// they must be the first to close them, or a request gets into the closing.
    pub idle_max: Duration,
    /// How long after a request's first byte its answer begins at the latest. Event streams send something more often.
    pub answered_within: Duration,
}

impl Default for ConnectionLimits {
    /// Well below the 1,024 files that a process may have open by default; GitHub delivers a few at a time from each address.
    /// A request may take 15 s when its head is there, which leaves as much to the head.
    fn default() -> Self {
        Self {
            connections_max: 512,
            of_address_max: 64,
            idle_max: Duration::from_secs(75),
            answered_within: 2 * crate::REQUEST_WITHIN,
        }
    }
}

/// How many connections each address has.
type ByAddress = Arc<Mutex<BTreeMap<IpAddr, u32>>>;

/// What one customer has: an address of IPv4, a /64 of IPv6.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()
        }
        address => address,
    }
}

/// A listening socket with limits.
pub struct BoundedListener {
    inner: TcpListener,
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    by_address: ByAddress,
}

impl BoundedListener {
    /// Puts limits on a socket.
    #[must_use]
    pub fn new(inner: TcpListener, limits: ConnectionLimits) -> Self {
        let places = usize::try_from(limits.connections_max).unwrap_or(Semaphore::MAX_PERMITS);
        Self { inner, limits, places: Arc::new(Semaphore::new(places)), by_address: ByAddress::default() }
    }

    /// A place for this address; `None`: it has enough.
    fn place_of(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let address = counted(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.limits.of_address_max && !address.is_loopback() {
            return None;
        }
        *count += 1;
        drop(by_address);
        Some(Place { address, by_address: self.by_address.clone(), _permit: permit })
    }
}

/// A connection's place; free again when it is dropped.
struct Place {
    address: IpAddr,
    by_address: ByAddress,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        loop {
            // Nobody closes it.
            let Ok(permit) = self.places.clone().acquire_owned().await else { continue };
            // Axum's own waits where the system has no more files.
            let (stream, address) = Listener::accept(&mut self.inner).await;
            if let Some(place) = self.place_of(address.ip(), permit) {
                return (BoundedStream::new(stream, self.limits, place), address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection on which requests have to begin, and to be answered, within their times.
pub struct BoundedStream {
    inner: TcpStream,
    limits: ConnectionLimits,
    /// Nothing was read since the last answer.
    is_idle: bool,
    deadline: Pin<Box<Sleep>>,
    _place: Place,
}

impl BoundedStream {
    fn new(inner: TcpStream, limits: ConnectionLimits, place: Place) -> Self {
        let deadline = Box::pin(tokio::time::sleep(limits.idle_max));
        Self { inner, limits, is_idle: true, deadline, _place: place }
    }

    fn began(&mut self) {
        if std::mem::take(&mut self.is_idle) {
            self.deadline.as_mut().reset(Instant::now() + self.limits.answered_within);
        }
    }

    fn answered(&mut self) {
        self.is_idle = true;
        self.deadline.as_mut().reset(Instant::now() + self.limits.idle_max);
    }

    /// What nothing comes of now is waited for until the deadline, and no longer.
    fn waited<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn written(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.answered();
                Poll::Ready(Ok(bytes))
            }
            Poll::Pending => self.waited(cx),
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl AsyncRead for BoundedStream {
    /// What is there counts before the deadline does: a request that came in time may be seen late.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if read.is_pending() {
            return self.waited(cx);
        }
        if buffer.filled().len() > before {
            self.began();
        }
        read
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn one_address_has_so_many_places_and_this_machine_has_all() {
        let limits = ConnectionLimits { of_address_max: 2, ..ConnectionLimits::default() };
        let listener = BoundedListener::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), limits);
        let place = |address: &str| {
            let permit = listener.places.clone().try_acquire_owned().unwrap();
            listener.place_of(address.parse().unwrap(), permit)
        };
        let (one, two) = (place("192.0.2.1"), place("192.0.2.1"));
        assert!(one.is_some() && two.is_some() && place("192.0.2.1").is_none());
        assert!(place("192.0.2.2").is_some(), "another address");
        drop(one);
        assert!(place("192.0.2.1").is_some(), "one is free again");
        let (one, other) = (place("2001:db8::1"), place("2001:db8::ffff:1"));
        assert!(one.is_some() && other.is_some() && place("2001:db8::2").is_none(), "a /64 is one");
        assert!(place("2001:db8:0:1::1").is_some(), "and its neighbour another");
        drop((one, other));
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let many: Vec<_> = (0..5).map(|_| place(own)).collect();
            assert!(many.iter().all(Option::is_some), "{own}");
        }
        drop(two);
        assert!(listener.by_address.lock().unwrap().is_empty(), "nothing is remembered of who is gone");
        assert_eq!(listener.places.available_permits(), 512);
    }

    #[test]
    fn an_event_stream_answers_before_its_time_is_over_and_a_proxy_is_the_first_to_close() {
        let limits = ConnectionLimits::default();
        assert!(limits.answered_within.min(limits.idle_max) >= 2 * crate::live::HEARTBEAT);
        assert!(limits.answered_within > crate::REQUEST_WITHIN, "a request that takes too long is answered so");
        assert!(limits.idle_max > Duration::from_secs(60), "ALB, nginx");
    }

    /// A pause of the process, or many other tasks, may lie between a request's arrival and the look at it.
    #[tokio::test]
    async fn bytes_that_are_there_count_before_the_deadline_does() {
        let limits = ConnectionLimits { idle_max: Duration::ZERO, ..ConnectionLimits::default() };
        let mut listener = BoundedListener::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), limits);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await;
        client.write_all(b"GET").await.unwrap();
        stream.inner.readable().await.unwrap();
        let mut said = [0; 8];
        assert_eq!(stream.read(&mut said).await.unwrap(), 3);
        let next = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut said)).await;
        assert!(next.is_err(), "and has the time of a request from there: {next:?}");
        stream.write_all(b"200").await.unwrap();
        assert_eq!(stream.read(&mut said).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
