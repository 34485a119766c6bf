//! The process that holds the data folder: its open stores, and the one place where commands are carried out.

use crate::{
    cli::{Command, Config, Global, Model},
    commands,
    data_folder::DataFolder,
    event::{Event, Meter, Out},
    problem::{Failure, Problem},
    serve,
    settings::Settings,
};
use anyhow::{Context, Result};
use catalog::Catalog;
use ingest::{Ingest, Library, Stores};
use scout::{Arithmetic, Engine, Stages};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex as StdMutex, PoisonError},
};
use tokio::sync::Mutex;

/// How a command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// The answer is not in these documents.
    NotInCorpus,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotInCorpus => 3,
        }
    }
}

pub struct Owner {
    pub data: DataFolder,
    pub stores: Stores,
    /// As this process was told; stands in where a command of another process names none.
    model: String,
    /// The model loaded last, by file and arithmetic.
    engine: Mutex<Option<(PathBuf, Arithmetic, Arc<Engine>)>>,
    /// The corpora of running `add` commands by name; some do not exist yet.
    adding: StdMutex<Vec<String>>,
}

/// Lasts as long as an `add` command runs.
pub struct Adding<'a> {
    owner: &'a Owner,
    corpus: &'a str,
}

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        let mut adding = self.owner.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = adding.iter().position(|corpus| corpus == self.corpus) {
            adding.swap_remove(at);
        }
    }
}

impl Owner {
    /// Opens the stores and deletes what a crash left without a reference.
    pub async fn open(data: DataFolder, settings: &Settings) -> Result<Self> {
        let catalog = Catalog::open(&data.catalog()).await?;
        let library = Library::open(Arc::new(kv::Disk), data.path())?;
        let cache_bytes = settings.kv_cache_mib.saturating_mul(1 << 20);
        let segments = kv::Store::open(Arc::new(kv::Disk), &data.path().join("kv"), cache_bytes)?;
        let stores = Stores::new(catalog, library, segments, data.path().join("index"));
        stores.sweep().await?;
        // What an earlier process was working on when it ended.
        stores.catalog.fail_interrupted().await?;
        let model = settings.model.clone();
        Ok(Self { data, stores, model, engine: Mutex::default(), adding: StdMutex::default() })
    }

    pub fn catalog(&self) -> &Catalog {
        &self.stores.catalog
    }

    /// Lets others see what is going to be made of a corpus, before it has a row.
    pub fn begin_adding<'a>(&'a self, corpus: &'a str) -> Adding<'a> {
        self.adding.lock().unwrap_or_else(PoisonError::into_inner).push(corpus.to_owned());
        Adding { owner: self, corpus }
    }

    pub fn is_adding(&self, corpus: &str) -> bool {
        self.adding.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|name| name == corpus)
    }

    /// The model that the settings name, or this process's own where they name none; loaded at most once.
    pub async fn engine(&self, settings: &Settings, out: &Out) -> Result<Arc<Engine>> {
        let mut settings = settings.clone();
        if settings.model.is_empty() {
            settings.model.clone_from(&self.model);
        }
        let settings = &settings;
        let path = commands::model::resolve(&self.data, settings)?;
        let mut loaded = self.engine.lock().await;
        if let Some((at, arithmetic, engine)) = loaded.as_ref()
            && (at, *arithmetic) == (&path, settings.arithmetic())
        {
            return Ok(engine.clone());
        }
        let engine = open_engine(&self.data, settings, out).await?;
        *loaded = Some((path, settings.arithmetic(), engine.clone()));
        Ok(engine)
    }

    /// Engine and stores together: what reading and asking work with.
    pub async fn ingest(&self, settings: &Settings, out: &Out) -> Result<Ingest> {
        let worker = corpus::worker::Worker::of_this_program().context("cannot find this program")?;
        Ok(Ingest {
            stores: self.stores.clone(),
            engine: self.engine(settings, out).await?,
            worker: Arc::new(worker),
            limits: Arc::new(settings.limits.clone()),
            kv_bytes_per_owner: settings.service.kv_bytes_per_owner,
        })
    }

    /// Runs one command to its exit event.
    pub async fn run(&self, settings: &Settings, command: &Command, out: &Out) {
        finish(self.dispatch(settings, command, out).await, out);
    }

    async fn dispatch(&self, settings: &Settings, command: &Command, out: &Out) -> Result<Exit> {
        match command {
            Command::Add(args) => commands::add::run(self, settings, args, out).await,
            Command::Ask(args) => commands::ask::run(self, settings, args, out).await,
            Command::Replay(args) => commands::replay::run(self, settings, args, out).await,
            Command::Eval(args) => commands::eval::run(self, settings, args, out).await,
            Command::List => commands::list::run(self, out).await,
            Command::Show(args) => commands::show::run(self, args, out).await,
            Command::Remove(args) => commands::remove::run(self, args, out).await,
            Command::Jobs => commands::jobs::run(self, out).await,
            Command::Export(args) => commands::export::run(self, args, out).await,
            Command::Import(args) => commands::import::run(self, settings, args, out).await,
            Command::Key(args) => commands::key::run(self, args, out).await,
            Command::Verify(_) => commands::verify::run(self, out).await,
            Command::Bench(args) => commands::bench::run_on_corpus(self, settings, args, out).await,
            Command::Model(_) | Command::Config(_) | Command::Serve(_) => {
                Err(Failure::new(400, "needs_no_owner", "this command runs without the data folder's owner")
                    .into())
            }
        }
    }
}

pub async fn open_engine(data: &DataFolder, settings: &Settings, out: &Out) -> Result<Arc<Engine>> {
    Ok(Arc::new(open_by(data, settings, out, Engine::open).await?))
}

/// The same with a clock around every piece of its work.
pub async fn open_timed_engine(
    data: &DataFolder,
    settings: &Settings,
    out: &Out,
) -> Result<(Arc<Engine>, Arc<Stages>)> {
    let (engine, stages) = open_by(data, settings, out, Engine::open_timed).await?;
    Ok((Arc::new(engine), stages))
}

/// Opens an engine: model file, arithmetic, folder of fingerprints, progress.
type Opens<T> = fn(&Path, Arithmetic, &Path, &mut dyn FnMut(weights::Progress)) -> scout::Result<T>;

async fn open_by<T: Send + 'static>(
    data: &DataFolder,
    settings: &Settings,
    out: &Out,
    open: Opens<T>,
) -> Result<T> {
    let path = commands::model::resolve(data, settings)?;
    let arithmetic = settings.arithmetic();
    let cache = data.path().join("fingerprints");
    let mut meter = Meter::new(out, "hashing model", "bytes");
    tokio::task::spawn_blocking(move || {
        let mut progress = |hashed: weights::Progress| meter.report(hashed.bytes_done, hashed.bytes_total);
        anyhow::Ok(open(&path, arithmetic, &cache, &mut progress)?)
    })
    .await?
}

/// Commands that touch neither catalog nor corpora run beside any owner; `None` for the others.
pub async fn run_without_owner(
    data: &DataFolder,
    global: &Global,
    command: &Command,
    out: &Out,
) -> Option<()> {
    let settings = || Settings::load(data, global);
    let outcome = match command {
        Command::Config(Config::Show) => settings().and_then(|s| commands::config::show(data, &s, out)),
        Command::Bench(args) if !commands::bench::needs_corpus(args) => match settings() {
            Ok((settings, _)) => commands::bench::run(data, &settings, args, out).await,
            Err(error) => Err(error),
        },
        Command::Model(Model::Fetch(args)) => commands::model::fetch::run(data, args, out).await,
        Command::Model(Model::Convert(args)) => commands::model::convert::run(args, out),
        Command::Model(Model::Inspect(args)) => {
            settings().and_then(|(s, _)| commands::model::inspect::run(data, &s, args, out))
        }
        Command::Model(Model::Logits(args)) => {
            settings().and_then(|(s, _)| commands::model::logits::run(data, &s, args, out))
        }
        Command::Serve(args) if args.openapi => serve::print_description(out),
        Command::Model(Model::Plan(args)) => {
            settings().and_then(|(s, _)| commands::model::plan::run(data, &s, args, out))
        }
        _ => return None,
    };
    finish(outcome, out);
    Some(())
}

pub fn finish(outcome: Result<Exit>, out: &Out) {
    let code = match outcome {
        Ok(exit) => exit.code(),
        Err(error) => {
            out.send(Event::Problem(Problem::from_error(&error)));
            1
        }
    };
    out.send(Event::Exit { code });
}
