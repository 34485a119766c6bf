//! [`Ingest::add`], top to bottom like the picture: discover → hash → plan → keep originals → read each document
//! → prefill each part → publish. What an interrupted run did is found again by its job, its files and its segments.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use base::Id;
use catalog::{
    Corpus, Document, FoundFile, Job, JobKind, JobState, Known, ModelIdentity, NewFile, Plan, Published,
    Start, State,
};
use scout::Engine;
use serde_json::{Value, json};

use crate::{
    Error, Result, Stage, Stores,
    discover::{Discovered, discover, lossy},
    library::hash_file,
    prefill::Repaired,
    progress::Meter,
    stores::blocking,
    text::{Outcome, Texts},
    watch::{Listener, Watch},
};

/// Everything an ingest works with. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    pub stores: Stores,
    pub engine: Arc<Engine>,
    pub worker: Arc<corpus::worker::Worker>,
    pub limits: Arc<corpus::Limits>,
    /// Most bytes of KV that one owner's documents may take, those still to be read included.
    pub kv_bytes_per_owner: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddOptions {
    /// What the one file or folder is called in the corpus instead of its own name.
    pub name: Option<String>,
    /// Files may take the place of documents of the same path that were found elsewhere.
    pub replace: bool,
    /// Remove documents whose files are gone from the folders named. Others are never touched.
    pub prune: bool,
    /// Try again what was refused before, although its bytes are the same.
    pub retry_refused: bool,
}

/// A file that could not even be read, so that it is no document; one that was keeps its last version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The document path it would have.
    pub path: String,
    pub reason: String,
}

/// How often the finished documents of a job that shows them one by one are shown: every time is a commit and a step of
/// the index.
const SHOW_PERIOD: Duration = Duration::from_secs(5);

/// Staged documents on their way to a published version.
pub(crate) struct Task {
    pub job: Id,
    /// Those that need no parser.
    pub texts: Texts,
    /// Documents are shown as they are finished, otherwise all in one commit; and an interruption puts the job back into
    /// the queue.
    pub queued: bool,
}

impl Task {
    pub fn new(job: Id) -> Self {
        Self { job, texts: Texts::default(), queued: false }
    }
}

/// A document that was taken in but holds nothing to ask about.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub path: String,
    /// `failed`, `needs_ocr` or `needs_password`.
    pub state: State,
    /// `{"code", "message"}`.
    pub error: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddReport {
    /// `None` when there was nothing to do.
    pub job: Option<Id>,
    pub corpus_version: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub unchanged: u64,
    /// Document paths in the corpus whose files are gone, kept without `prune`.
    pub missing: Vec<String>,
    /// Among the added, the changed and the unchanged.
    pub refused: Vec<Refused>,
    pub skipped: Vec<Skipped>,
    /// What `verify` had set aside, read again.
    pub repaired: Vec<Repaired>,
    /// Document paths, among the unchanged and the changed, whose stored original or text was damaged or lost.
    pub restored: Vec<String>,
    /// Document paths, among the changed, whose KV was made by another tokenizer, chat template or numerics.
    pub outdated: Vec<String>,
    /// Tokens computed in this run, document headers included.
    pub tokens_prefilled: u64,
    /// Bytes deleted with what lost its last reference.
    pub bytes_freed: u64,
}

impl AddReport {
    /// Files were found, and none of them can be asked about.
    pub fn nothing_readable(&self) -> bool {
        let unreadable = self.refused.len() as u64;
        let documents = self.added + self.changed + self.unchanged;
        documents <= unreadable && documents + self.skipped.len() as u64 > 0
    }
}

impl Ingest {
    /// Adds files and folders to a corpus; one commit makes the result visible. Repeating it after an interruption
    /// goes on where it stopped. Segments that were lost since are computed again. `progress` is called a few times
    /// a second and may stop the work.
    ///
    /// Errors: [`Error::Interrupted`] keeps what was done, [`Error::Cancelled`] throws it away; bad documents are
    /// no errors but part of the report; [`Error::OtherPlace`] and its kin, before anything is changed.
    pub async fn add(
        &self,
        corpus: &Corpus,
        inputs: &[PathBuf],
        options: AddOptions,
        progress: &Listener<'_>,
    ) -> Result<AddReport> {
        let _adding = self.stores.adding.lock().await;
        let corpus = self.stores.catalog.corpus(&corpus.owner, corpus.id.as_str()).await?;
        let mut report = self.take_in(&corpus, inputs, &options, &mut Watch::new(progress)).await?;
        report.repaired = self.repair(&corpus, &mut Watch::new(progress)).await?;
        report.tokens_prefilled += report.repaired.iter().map(|repaired| repaired.tokens).sum::<u64>();
        Ok(report)
    }

    async fn take_in<'a>(
        &'a self,
        corpus: &Corpus,
        inputs: &[PathBuf],
        options: &AddOptions,
        watch: &mut Watch<'a>,
    ) -> Result<AddReport> {
        let (named, name) = (inputs.to_vec(), options.name.clone());
        let mut found = blocking(move || discover(&named, name.as_deref())).await??;
        if !options.replace {
            self.check_places(corpus, &found).await?;
        }
        self.stores.catalog.bind_model(&corpus.id, &self.model()).await?;
        let hashed = self.hash(&mut found, watch).await?;
        let mut plan = self.plan(corpus, &found, hashed, options).await?;
        self.note_places(&plan, &found).await?;
        let restored = self.restore(&mut plan, &found, watch).await?;
        let outdated = self.plan_outdated(corpus, &mut plan).await?;
        let mut report = AddReport {
            corpus_version: corpus.version,
            restored,
            outdated,
            unchanged: plan.unchanged.len() as u64,
            missing: paths(&plan.missing),
            refused: self.still_refused(&plan).await?,
            skipped: found.skipped.clone(),
            ..AddReport::default()
        };
        let resume = self.unfinished_job(corpus).await?.map(|job| job.id);
        let changes = plan.added.len() + plan.changed.len() + plan.removed.len();
        if changes == 0 && resume.is_none() {
            return match found.files.is_empty() && plan.missing.is_empty() && found.skipped.is_empty() {
                true => Err(Error::NothingFound { inputs: inputs.to_vec() }),
                false => Ok(report),
            };
        }
        let job = self.begin(corpus, plan, &found, resume, options, watch).await?;
        self.run(corpus, Task::new(job), &mut report, watch).await?;
        Ok(report)
    }

    /// From staged documents to a published version. What ends early is left so that the job can be resumed.
    pub(crate) async fn run<'a>(
        &'a self,
        corpus: &Corpus,
        task: Task,
        report: &mut AddReport,
        watch: &mut Watch<'a>,
    ) -> Result<()> {
        watch.job = Some((&self.stores.catalog, task.job.clone()));
        match self.finish(corpus, &task, report, watch).await {
            Ok(()) => {
                report.job = Some(task.job);
                Ok(())
            }
            Err(error) => Err(self.give_up(&task, error).await),
        }
    }

    async fn finish(
        &self,
        corpus: &Corpus,
        task: &Task,
        report: &mut AddReport,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let job = &task.job;
        self.read_documents(job, &task.texts, watch).await?;
        self.check_quota(corpus).await?;
        self.prefill_documents(corpus, task, report, watch).await?;
        let staged = self.stores.catalog.staged(job).await?;
        report.refused.extend(staged.iter().filter_map(refused));
        report.refused.sort_by(|a, b| a.path.cmp(&b.path));
        watch.tell(Meter::new(Stage::Publish, 0, staged.len() as u64).progress(0)).await?;
        let published = self.publish(corpus, job).await?;
        let freed = self.stores.collect(&corpus.id, published.corpus_version).await?;
        report.corpus_version = published.corpus_version;
        report.added = published.summary.added;
        report.changed = published.summary.changed;
        report.removed = published.summary.removed;
        report.unchanged = published.summary.unchanged;
        report.bytes_freed = freed.bytes;
        Ok(())
    }

    /// SHA-256 of every file. One that cannot be read, or whose first bytes tell that it holds no document, is skipped:
    /// it is neither read whole nor kept.
    async fn hash(&self, found: &mut Discovered, watch: &mut Watch<'_>) -> Result<Vec<FoundFile>> {
        let mut meter = Meter::new(Stage::Hash, 0, found.files.len() as u64);
        let mut hashed = Vec::new();
        for (path, source) in &found.files {
            let (at, name, limits) = (source.clone(), path.clone(), self.limits.clone());
            let hash = move || {
                corpus::extract::look(&at, &name, &limits).map_err(|error| error.to_string())?;
                hash_file(&at, |_| Ok(())).map_err(|error| error.to_string())
            };
            match blocking(hash).await? {
                Ok(file) => hashed.push(FoundFile { path: path.clone(), file, place: Some(lossy(source)) }),
                Err(reason) => found.skipped.push(Skipped { path: path.clone(), reason }),
            }
            meter.add(1);
            watch.tell(meter.progress(0)).await?;
        }
        Ok(hashed)
    }

    /// What differs from the newest version, with the caller's wishes applied.
    async fn plan(
        &self,
        corpus: &Corpus,
        found: &Discovered,
        hashed: Vec<FoundFile>,
        options: &AddOptions,
    ) -> Result<Plan> {
        let files: BTreeMap<String, NewFile> = hashed.iter().map(|f| (f.path.clone(), f.file)).collect();
        let mut plan = self.stores.catalog.plan_ingest(&corpus.id, hashed).await?;
        plan.missing.retain(|known| {
            // What is replaced is spoken for wherever it came from.
            let place = known.place.as_deref().filter(|_| !options.replace);
            found.covers(&known.path, place)
        });
        if options.prune {
            plan.removed = std::mem::take(&mut plan.missing);
        }
        if options.retry_refused {
            let (again, unchanged) =
                plan.unchanged.into_iter().partition(|known| known.state != State::Ready);
            plan.unchanged = unchanged;
            plan.changed.extend(Vec::into_iter(again).filter_map(|known: Known| {
                let (file, place) = (*files.get(&known.path)?, found.place(&known.path));
                Some(FoundFile { path: known.path, file, place })
            }));
        }
        Ok(plan)
    }

    /// Unchanged documents that hold nothing to ask about.
    async fn still_refused(&self, plan: &Plan) -> Result<Vec<Refused>> {
        let mut still = Vec::new();
        for known in plan.unchanged.iter().filter(|known| known.state != State::Ready) {
            still.extend(refused(&self.stores.catalog.version(known.version).await?));
        }
        Ok(still)
    }

    /// The ingest of this corpus that was interrupted or failed, if any.
    pub(crate) async fn unfinished_job(&self, corpus: &Corpus) -> Result<Option<Job>> {
        let jobs = self.stores.catalog.jobs(&corpus.owner).await?;
        let ingests = |job: &Job| matches!(job.kind, JobKind::Ingest | JobKind::Import);
        let last = jobs.into_iter().find(|job| ingests(job) && job.corpus.as_ref() == Some(&corpus.id));
        Ok(last.filter(|job| !matches!(job.state, JobState::Succeeded | JobState::Cancelled)))
    }

    /// Copies new originals and stages their documents. A file that changed since it was hashed is taken as it is now.
    async fn begin(
        &self,
        corpus: &Corpus,
        mut plan: Plan,
        found: &Discovered,
        resume: Option<Id>,
        options: &AddOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Id> {
        let _changing = self.stores.library.changing.lock().await;
        let mut meter = Meter::new(Stage::Store, 0, (plan.added.len() + plan.changed.len()) as u64);
        for new in plan.added.iter_mut().chain(&mut plan.changed) {
            let source = found.files.get(&new.path).cloned().unwrap_or_default();
            let (library, expected) = (self.stores.library.clone(), new.file);
            new.file = blocking(move || library.put_original(&source, expected)).await??;
            meter.add(1);
            watch.tell(meter.progress(0)).await?;
        }
        let folders: Vec<_> =
            found.scopes.iter().map(|scope| scope.documents.trim_end_matches('/')).collect();
        let start = match resume {
            Some(job) => Start::Resume(job),
            None => {
                let params = json!({"inputs": folders, "prune": options.prune});
                Start::New { kind: JobKind::Ingest, params }
            }
        };
        Ok(self.stores.catalog.begin_ingest(&corpus.owner, &corpus.id, &plan, start).await?.job)
    }

    /// Extracts the next document while this one is tokenised; results are kept in order of path.
    async fn read_documents(&self, job: &Id, texts: &Texts, watch: &mut Watch<'_>) -> Result<()> {
        let staged = self.stores.catalog.staged(job).await?;
        let mut unread = Vec::new();
        for document in &staged {
            if self.is_unread(document).await? {
                unread.push(document);
            }
        }
        let found = (staged.len() - unread.len()) as u64;
        let mut meter = Meter::new(Stage::Extract, found, staged.len() as u64);
        watch.tell(meter.progress(0)).await?;
        let mut extracted: Option<Outcome> = match unread.first() {
            Some(first) => Some(self.extract(first, texts).await?),
            None => None,
        };
        for (at, document) in unread.iter().enumerate() {
            let Some(outcome) = extracted.take() else { break };
            let ahead = async {
                match unread.get(at + 1) {
                    Some(next) => self.extract(next, texts).await.map(Some),
                    None => Ok(None),
                }
            };
            let (kept, next) = tokio::join!(self.keep_text(document, outcome), ahead);
            kept?;
            extracted = next?;
            meter.add(1);
            watch.tell(meter.progress(0)).await?;
        }
        Ok(())
    }

    /// Also when text was registered but the process ended before its parts were, or when an interrupted run cut it
    /// into the tokens of another tokenizer.
    async fn is_unread(&self, document: &Document) -> Result<bool> {
        Ok(match document.version.state {
            State::Queued | State::Extracting => true,
            State::Prefilling => {
                let parts = self.stores.catalog.parts(document.version.id).await?;
                parts.is_empty() || !self.spells(document).await?
            }
            _ => false,
        })
    }

    async fn prefill_documents(
        &self,
        corpus: &Corpus,
        task: &Task,
        report: &mut AddReport,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let (mut done, mut total, mut waiting) = (0, 0, Vec::new());
        for document in self.stores.catalog.staged(&task.job).await? {
            for part in self.stores.catalog.parts(document.version.id).await? {
                total += part.tokens.len();
                done += if part.ready { part.tokens.len() } else { 0 };
            }
            if document.version.state == State::Prefilling {
                waiting.push(document);
            }
        }
        let mut meter = Meter::new(Stage::Prefill, done, total);
        watch.tell(meter.progress(0)).await?;
        let mut unwritten = None;
        let computed = async {
            let mut shown: Option<Instant> = None;
            for document in waiting {
                report.tokens_prefilled +=
                    self.prefill_document(&document, &mut unwritten, &mut meter, watch).await?;
                if task.queued && shown.is_none_or(|at| at.elapsed() >= SHOW_PERIOD) {
                    self.write(unwritten.take()).await?;
                    self.publish_ready(corpus, &task.job).await?;
                    shown = Some(Instant::now());
                }
            }
            Ok(())
        }
        .await;
        // Whatever stopped the computing, what is computed is kept; a cancelled job keeps nothing that it has not shown.
        if matches!(computed, Err(Error::Cancelled)) {
            return computed;
        }
        // A failure to write comes first: an interruption promises that all is kept.
        self.write(unwritten).await.and(computed)
    }

    /// What is finished of a job can be asked while the rest is read.
    async fn publish_ready(&self, corpus: &Corpus, job: &Id) -> Result<()> {
        let _publishing = self.stores.publishing.lock().await;
        let before = self.stores.catalog.corpus(&corpus.owner, corpus.id.as_str()).await?.version;
        let shown = self.stores.shown(&corpus.id).await?;
        if let Some(version) = self.stores.catalog.publish_ready(job).await? {
            self.stores.index_step(&corpus.id, before, &shown, version).await?;
        }
        Ok(())
    }

    /// The one commit, then the index. In this order a crash in between can only leave a stale index.
    async fn publish(&self, corpus: &Corpus, job: &Id) -> Result<Published> {
        let _publishing = self.stores.publishing.lock().await;
        let before = self.stores.catalog.corpus(&corpus.owner, corpus.id.as_str()).await?.version;
        let shown = self.stores.shown(&corpus.id).await?;
        let published = self.stores.catalog.publish(job).await?;
        if published.corpus_version != before {
            self.stores.index_step(&corpus.id, before, &shown, published.corpus_version).await?;
        }
        Ok(published)
    }

    /// Leaves the job so that it can be resumed, or takes it away when its user asked for that.
    async fn give_up(&self, task: &Task, error: Error) -> Error {
        let job = &task.job;
        let recorded = match &error {
            Error::Cancelled => self.discard(job).await,
            // In one step: whoever follows the job must not take it for one that has ended.
            Error::Interrupted if task.queued => {
                self.stores.catalog.requeue_job(job).await.map_err(Error::from)
            }
            Error::Interrupted => self.fail(job, "interrupted", &error).await,
            Error::KvQuota { .. } => self.fail(job, "kv_quota", &error).await,
            other => self.fail(job, "ingest_failed", other).await,
        };
        // The first failure is the one to report: what could not be recorded is found again by the next run.
        drop(recorded);
        error
    }

    async fn fail(&self, job: &Id, code: &str, error: &Error) -> Result<()> {
        let error = json!({"code": code, "message": error.to_string()});
        Ok(self.stores.catalog.finish_job(job, JobState::Failed, Some(&error)).await?)
    }

    pub(crate) async fn discard(&self, job: &Id) -> Result<()> {
        let _changing = self.stores.library.changing.lock().await;
        let freed = self.stores.catalog.discard(job).await?;
        self.stores.delete(freed).await.map(drop)
    }

    pub(crate) fn model(&self) -> ModelIdentity {
        let fingerprint = self.engine.fingerprint().0.iter().map(|byte| format!("{byte:02x}")).collect();
        let kv_dtype = self.engine.kv_dtype().name().to_owned();
        ModelIdentity { name: self.engine.name().to_owned(), fingerprint, kv_dtype }
    }
}

fn paths(known: &[Known]) -> Vec<String> {
    known.iter().map(|known| known.path.clone()).collect()
}

fn refused(document: &Document) -> Option<Refused> {
    let version = &document.version;
    (version.state != State::Ready).then(|| Refused {
        path: document.path.clone(),
        state: version.state,
        error: version.error.clone(),
    })
}
