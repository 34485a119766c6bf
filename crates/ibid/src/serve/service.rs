//! What every handler works with: the open stores and engine, the queues that outlive a request, and the figures.

use super::{job_queue::JobQueue, metrics::Metrics, questions::Questions};
use crate::{event::Cancel, owner::Owner, settings::Settings};
use anyhow::Result;
use catalog::Catalog;
use ingest::Ingest;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

const PURGE_PERIOD: Duration = Duration::from_secs(3_600);

pub struct Service {
    pub ingest: Ingest,
    pub settings: Settings,
    pub questions: Questions,
    pub jobs: JobQueue,
    pub metrics: Metrics,
    /// Pages are painted one at a time: each takes a core for a while.
    pub painting: Semaphore,
    /// Who may wait for that; one more is refused.
    pub painters: Semaphore,
    /// Whole texts are held in memory while a stretch of one is cut out.
    pub reading: Semaphore,
    /// Answers are given again one at a time, beside the questions.
    pub replaying: Arc<Semaphore>,
    /// Unix milliseconds.
    pub began_ms: u64,
    /// Set when the service is about to end.
    pub stopping: Cancel,
    loopback: bool,
    /// Keeps the data folder's stores open.
    _owner: Arc<Owner>,
}

impl Service {
    /// Also takes up what an earlier process left unfinished.
    pub async fn start(
        owner: Arc<Owner>,
        ingest: Ingest,
        settings: Settings,
        address: SocketAddr,
    ) -> Result<Arc<Self>> {
        let catalog = ingest.stores.catalog.clone();
        catalog.forget_running().await?;
        let stopping = Cancel::default();
        let service = Arc::new(Self {
            jobs: JobQueue::new(ingest.clone(), stopping.clone()),
            questions: Questions::new(ingest.clone(), &settings.service),
            metrics: Metrics::new(),
            painting: Semaphore::new(1),
            painters: Semaphore::new(16),
            reading: Semaphore::new(4),
            replaying: Arc::new(Semaphore::new(1)),
            began_ms: catalog::now_ms(),
            loopback: address.ip().is_loopback(),
            _owner: owner,
            ingest,
            settings,
            stopping,
        });
        service.jobs.resume().await?;
        service.questions.resume().await?;
        tokio::spawn(purge(service.catalog().clone(), service.stopping.clone()));
        Ok(service)
    }

    /// From now on nothing new begins and open streams end.
    pub fn begin_stop(&self) {
        self.stopping.request();
        self.questions.begin_stop();
    }

    /// Ends what runs at a safe point; it goes on when the service is started again.
    pub async fn stop(&self) {
        self.stopping.request();
        self.questions.stop().await;
        self.jobs.stop().await;
    }

    pub fn catalog(&self) -> &Catalog {
        &self.ingest.stores.catalog
    }

    /// Whether calls without a key are the owner `local`: there never was a key, and only this machine can call. A key
    /// that was revoked or has expired must not open the service to all.
    pub async fn is_open(&self) -> Result<bool, catalog::Error> {
        Ok(self.loopback && !self.catalog().keys_exist().await?)
    }
}

/// Takes away what has expired: now and every hour.
async fn purge(catalog: Catalog, stopping: Cancel) {
    while !stopping.requested() {
        let now = catalog::now_ms();
        if let Err(error) = catalog.purge_sessions(now).await {
            tracing::warn!("expired sessions are not purged: {error}");
        }
        if let Err(error) = catalog.purge_requests(now).await {
            tracing::warn!("kept replies are not purged: {error}");
        }
        tokio::time::sleep(PURGE_PERIOD).await;
    }
}

/// `bytes` random bytes as hexadecimal digits.
pub fn random_token(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}
