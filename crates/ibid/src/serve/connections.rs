//! Connections: so many at once, each with a bounded time for the head of a request, and an end within a grace period when
//! the service stops. HTTP/1.1 alone: what speaks HTTP/2 in front of it encrypts too.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};

/// Half of the files that a process may usually open.
const MOST: usize = 512;
const HEAD_TIME: Duration = Duration::from_secs(15);
/// What a client that does not read is given once the service stops.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop`; `stopping` is told then, so that open streams end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    stopping: impl FnOnce(),
) {
    let room = Arc::new(Semaphore::new(MOST));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Who finds no room waits in the system's queue.
            let place = room.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // No file handle is left, or the client has gone already.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is its own business.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    stopping();
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections that were still open after {} s are cut", GRACE.as_secs());
    }
}
