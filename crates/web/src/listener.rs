//! The socket, with bounds: who opens connections and says nothing, or says it a byte at a time, holds a place for a minute and never all
//! of them. The webhook is open to anybody, so this is before any request is read.
//!
//! Limits by address are not for this machine's own: a proxy in front brings everybody's requests from one.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
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
    pub connections_max: usize,
    /// Connections at once from one address that is not this machine's. Further ones are closed at once.
    pub of_address_max: usize,
    /// A connection on which nothing was answered for so long is closed: a head and a body together have to come within it. Event streams
    /// answer more often.
    pub answered_within: Duration,
}

impl Default for ConnectionLimits {
    /// Well below the 1,024 files that a process may have open by default; GitHub delivers a few at a time from each address.
    fn default() -> Self {
        Self { connections_max: 512, of_address_max: 64, answered_within: Duration::from_secs(60) }
    }
}

/// How many connections each address has.
type ByAddress = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

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
        Self {
            inner,
            limits,
            places: Arc::new(Semaphore::new(limits.connections_max)),
            by_address: ByAddress::default(),
        }
    }

    /// A place for this address; `None`: it has enough.
    fn place_of(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.limits.of_address_max && !address.to_canonical().is_loopback() {
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
                let within = self.limits.answered_within;
                return (
                    BoundedStream {
                        inner: stream,
                        within,
                        deadline: Box::pin(tokio::time::sleep(within)),
                        _place: place,
                    },
                    address,
                );
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that has to be answered on within a time.
pub struct BoundedStream {
    inner: TcpStream,
    within: Duration,
    deadline: Pin<Box<Sleep>>,
    _place: Place,
}

impl BoundedStream {
    fn answered(&mut self) {
        let next = Instant::now() + self.within;
        self.deadline.as_mut().reset(next);
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.answered();
        }
        written
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
        if matches!(written, Poll::Ready(Ok(_))) {
            self.answered();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
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
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let many: Vec<_> = (0..5).map(|_| place(own)).collect();
            assert!(many.iter().all(Option::is_some), "{own}");
        }
        drop(two);
        assert!(listener.by_address.lock().unwrap().is_empty(), "nothing is remembered of who is gone");
        assert_eq!(listener.places.available_permits(), limits.connections_max);
    }

    #[test]
    fn an_event_stream_answers_before_its_time_is_over() {
        assert!(ConnectionLimits::default().answered_within >= 2 * crate::live::HEARTBEAT);
    }
}
