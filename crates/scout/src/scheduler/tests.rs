//! The scheduler over a model that writes down its passes, stops in them when told to, and fails at chosen tokens.

mod cancel;

use super::*;
use crate::{
    Mass, Reach, Sequence,
    forward::{Batch, Gate, Reached},
};
use compute::Rows;
use kv::{Dtype, PAGE_TOKENS, PageShape};
use std::{
    sync::{Arc, Barrier, mpsc},
    thread::{self, JoinHandle},
};

const VOCAB: usize = 3;
const REFUSED: u32 = 900;
const PANICS: u32 = 901;

/// Logits of a row: its id, its position, and the ids before it added up.
struct Recorder {
    /// Per pass the ids of each batch.
    passes: Mutex<Vec<Vec<Vec<u32>>>>,
    /// Tells that a pass began, and waits for leave to end it.
    doors: Option<Mutex<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl Run for Recorder {
    fn reaches(&self) -> Arc<[Reach]> {
        Arc::new([Reach::Everything])
    }

    fn forward(&self, batches: &mut [Batch<'_>], gate: &mut Gate<'_>) -> Result<Rows> {
        self.passes.lock().unwrap().push(batches.iter().map(|batch| batch.ids.to_vec()).collect());
        let mut rows = Vec::new();
        for batch in batches.iter_mut() {
            let first = batch.sequence.grow(batch.ids.len());
            for row in batch.logits.clone() {
                let sum: u32 = batch.ids[..=row].iter().sum();
                rows.extend([batch.ids[row] as f32, (first + row as u64) as f32, sum as f32]);
            }
            let n_slots = batch.sequence.n_blocks() * PAGE_TOKENS;
            if let Some(mass) = &mut batch.mass {
                mass.values = vec![mass.layers.len() as f32 / n_slots as f32; n_slots];
            }
        }
        if let Some(doors) = &self.doors {
            let doors = doors.lock().unwrap();
            doors.0.send(()).unwrap();
            doors.1.recv().unwrap();
        }
        gate(Reached::Layer)?;
        let ids: Vec<u32> = batches.iter().flat_map(|batch| batch.ids.to_vec()).collect();
        assert!(!ids.contains(&PANICS), "a token that panics");
        if ids.contains(&REFUSED) {
            return Err(Error::TokenOutOfRange { id: REFUSED, vocab: VOCAB });
        }
        Ok(Rows::from_vec(rows, VOCAB))
    }

    fn embedding_cosines(&self, _: &[u32]) -> Result<Rows> {
        Ok(Rows::default())
    }

    fn numerics(&self) -> &'static str {
        "recorder"
    }

    fn kv_dtype(&self) -> Dtype {
        Dtype::F32
    }
}

/// The test's side of the doors.
struct Doors {
    began: mpsc::Receiver<()>,
    leave: mpsc::Sender<()>,
}

impl Doors {
    /// Lets `n` passes end, each after it began.
    fn let_end(&self, n: usize) {
        for _ in 0..n {
            self.began.recv().unwrap();
            self.leave.send(()).unwrap();
        }
    }
}

/// A scheduler with its recorder.
#[derive(Clone)]
struct Bench {
    scheduler: Arc<Scheduler>,
    run: Arc<Recorder>,
}

impl Bench {
    fn new() -> Self {
        Self::over(Recorder { passes: Mutex::default(), doors: None })
    }

    fn with_doors() -> (Self, Doors) {
        let ((begins, began), (leave, leaves)) = (mpsc::channel(), mpsc::channel());
        let doors = Some(Mutex::new((begins, leaves)));
        (Self::over(Recorder { passes: Mutex::default(), doors }), Doors { began, leave })
    }

    fn over(recorder: Recorder) -> Self {
        let run = Arc::new(recorder);
        Self { scheduler: Arc::new(Scheduler::start(run.clone()).unwrap()), run }
    }

    /// Steps `ids` with all logits behind a new sequence; gives the sequence's length afterwards and the logits.
    fn step(&self, question: QuestionId, cancel: &Cancel, ids: &[u32]) -> (u64, Result<Vec<f32>>) {
        let mut sequence = sequence();
        let step = Step { sequence: &mut sequence, ids, logits: 0..ids.len(), mass: None };
        let got = self.scheduler.step(question, cancel, &mut [step], VOCAB);
        (sequence.next_pos(), got.map(|decoding| decoding.logits.as_slice().to_vec()))
    }

    /// The same on a thread of its own; returns when the call waits in the queue behind `ahead` others.
    fn queue(&self, owner: &str, ids: Vec<u32>, ahead: usize) -> Caller {
        self.queue_in(self.scheduler.register(owner), &Cancel::default(), ids, ahead)
    }

    fn queue_in(&self, question: QuestionId, cancel: &Cancel, ids: Vec<u32>, ahead: usize) -> Caller {
        let (bench, cancel) = (self.clone(), cancel.clone());
        let caller = thread::spawn(move || {
            let got = bench.step(question, &cancel, &ids);
            bench.scheduler.unregister(question);
            got
        });
        self.until(|state| state.queue.n_waiting() > ahead);
        caller
    }

    /// The first call, which is in a pass when this returns.
    fn begin(&self, doors: &Doors, ids: Vec<u32>) -> Caller {
        let (bench, question) = (self.clone(), self.scheduler.register("first"));
        let caller = thread::spawn(move || {
            let got = bench.step(question, &Cancel::default(), &ids);
            bench.scheduler.unregister(question);
            got
        });
        doors.began.recv().unwrap();
        caller
    }

    fn until(&self, holds: impl Fn(&State) -> bool) {
        while !holds(&self.scheduler.shared.state()) {
            thread::yield_now();
        }
    }

    fn passes(&self) -> Vec<Vec<Vec<u32>>> {
        self.run.passes.lock().unwrap().clone()
    }
}

type Caller = JoinHandle<(u64, Result<Vec<f32>>)>;

fn sequence() -> Sequence {
    Sequence::new(Arc::new([Reach::Everything]), PageShape { n_kv_heads: 1, head_dim: 2 }, Dtype::F32)
}

/// What a sequence of `ids` gives when it runs in one go.
fn alone(ids: &[u32]) -> Vec<f32> {
    let bench = Bench::new();
    let question = bench.scheduler.register("alone");
    bench.step(question, &Cancel::default(), ids).1.unwrap()
}

/// Who packs weights holds a lock and waits for the common pool; a pass that waits for the lock must not wait in that pool.
#[test]
fn a_pass_runs_while_all_threads_of_the_common_pool_wait_for_it() {
    let bench = Bench::new();
    let question = bench.scheduler.register("asker");
    let (ended, end) = mpsc::channel::<()>();
    let end = Mutex::new(end);
    let waits = rayon::current_num_threads();
    let all_wait = Barrier::new(waits + 1);
    let wait = || {
        all_wait.wait();
        end.lock().unwrap().recv().unwrap();
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(|| rayon::broadcast(|_| wait()));
        all_wait.wait();
        assert_eq!(bench.step(question, &Cancel::default(), &[1, 2]).1.unwrap(), alone(&[1, 2]));
        (0..waits).for_each(|_| ended.send(()).unwrap());
        assert_eq!(waiting.join().unwrap().len(), waits);
    });
}

#[test]
fn calls_that_arrive_during_a_pass_share_the_next() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    let others: Vec<Caller> = (0..3).map(|i| bench.queue("a", vec![10 + i as u32], i)).collect();
    doors.leave.send(()).unwrap();
    assert_eq!(first.join().unwrap().1.unwrap(), alone(&[1]));
    doors.let_end(1);
    for (i, other) in (10..).zip(others) {
        assert_eq!(other.join().unwrap().1.unwrap(), alone(&[i]));
    }
    assert_eq!(bench.passes()[0], [[1]]);
    assert_eq!(bench.passes()[1], [[10], [11], [12]]);
}

#[test]
fn a_token_is_served_between_the_passes_of_a_long_prompt() {
    let (bench, doors) = Bench::with_doors();
    let prompt: Vec<u32> = (0..2 * queue::PASS_ROWS as u32).map(|i| i % 50).collect();
    let first = bench.begin(&doors, prompt);
    let token = bench.queue("a", vec![7], 0);
    doors.leave.send(()).unwrap();
    doors.let_end(1);
    assert_eq!(token.join().unwrap().1.unwrap(), alone(&[7]));
    doors.let_end(1);
    let (len, logits) = first.join().unwrap();
    let logits = logits.unwrap();
    assert_eq!((len, logits.len()), (512, 512 * VOCAB));
    let positions = logits.chunks(VOCAB).map(|row| row[1]);
    assert!(positions.eq((0..512).map(|at| at as f32)), "the rows of all tiles are there, in order");
    let rows: Vec<Vec<usize>> = bench.passes().iter().map(|p| p.iter().map(Vec::len).collect()).collect();
    assert_eq!(rows, [vec![256], vec![255, 1], vec![1]]);
}

#[test]
fn owners_take_turns_and_so_do_the_questions_of_one() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![0]);
    // Three questions of `a` came before the one of `b`; each fills two passes alone.
    let prompt = |id: u32| vec![id; 2 * queue::PASS_ROWS];
    let mut callers: Vec<Caller> = (1..4).map(|id| bench.queue("a", prompt(id), id as usize - 1)).collect();
    callers.push(bench.queue("b", prompt(9), 3));
    doors.leave.send(()).unwrap();
    doors.let_end(8);
    first.join().unwrap().1.unwrap();
    callers.into_iter().for_each(|caller| drop(caller.join().unwrap().1.unwrap()));
    let order: Vec<u32> = bench.passes()[1..].iter().map(|pass| pass[0][0]).collect();
    assert_eq!(order, [1, 9, 2, 9, 3, 1, 2, 3]);
}

#[test]
fn prompts_keep_their_part_of_a_pass_however_many_tokens_wait() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![0]);
    let prompt = bench.queue("a", vec![5; 200], 0);
    let tokens = thread::spawn({
        let bench = bench.clone();
        move || {
            let mut sequences: Vec<Sequence> = (0..300).map(|_| sequence()).collect();
            let step = |sequence| Step { sequence, ids: &[6], logits: 0..1, mass: None };
            let mut steps: Vec<Step<'_>> = sequences.iter_mut().map(step).collect();
            let question = bench.scheduler.register("b");
            let got = bench.scheduler.step(question, &Cancel::default(), &mut steps, VOCAB);
            got.unwrap().logits.n_rows()
        }
    });
    bench.until(|state| state.queue.n_waiting() == 2);
    doors.leave.send(()).unwrap();
    doors.let_end(2);
    assert_eq!(tokens.join().unwrap(), 300);
    prompt.join().unwrap().1.unwrap();
    first.join().unwrap().1.unwrap();
    let rows_of = |pass: &Vec<Vec<u32>>, id| pass.iter().flatten().filter(|got| **got == id).count();
    let rows: Vec<_> = bench.passes()[1..].iter().map(|pass| (rows_of(pass, 5), rows_of(pass, 6))).collect();
    assert_eq!(rows, [(128, 128), (72, 172)]);
}

#[test]
fn an_error_fails_its_own_caller_and_leaves_its_sequence_as_it_was() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    let good = bench.queue("a", vec![2, 3], 0);
    let bad = bench.queue("b", vec![4, REFUSED], 1);
    let other = bench.queue("c", vec![5], 2);
    doors.leave.send(()).unwrap();
    // The shared pass, then each call alone.
    doors.let_end(4);
    first.join().unwrap().1.unwrap();
    assert_eq!(good.join().unwrap().1.unwrap(), alone(&[2, 3]));
    assert_eq!(other.join().unwrap().1.unwrap(), alone(&[5]));
    let (len, error) = bad.join().unwrap();
    assert!(matches!(error, Err(Error::TokenOutOfRange { id: REFUSED, .. })));
    assert_eq!(len, 0);
}

#[test]
fn a_panic_goes_on_in_the_thread_that_caused_it_and_hangs_nobody() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    let bad = bench.queue("a", vec![PANICS], 0);
    let good = bench.queue("b", vec![2, 3], 1);
    doors.leave.send(()).unwrap();
    doors.let_end(3);
    first.join().unwrap().1.unwrap();
    assert_eq!(good.join().unwrap().1.unwrap(), alone(&[2, 3]));
    assert!(bad.join().is_err(), "the panic was swallowed");
    let later = bench.begin(&doors, vec![4]);
    doors.leave.send(()).unwrap();
    later.join().unwrap().1.unwrap();
}

#[test]
fn mass_is_the_mean_over_all_tiles() {
    let bench = Bench::new();
    let (mut sequence, ids) = (sequence(), vec![1; 300]);
    let mass = Some((100..300, 0..1));
    let step = Step { sequence: &mut sequence, ids: &ids, logits: 299..300, mass };
    let question = bench.scheduler.register("a");
    let steps = &mut [step];
    let got = bench.scheduler.step(question, &Cancel::default(), steps, VOCAB).unwrap();
    assert_eq!(got.mass[0].len(), 5 * PAGE_TOKENS);
    let total: f32 = got.mass[0].iter().sum();
    assert!((total - 1.0).abs() < 1e-5, "the mass adds up to {total}");
    let rows: Vec<usize> = bench.passes().iter().map(|pass| pass[0].len()).collect();
    assert_eq!(rows, [128, 128, 44], "cut at the same rows whoever else asks");
}

#[test]
fn a_step_without_rows_needs_no_pass() {
    let bench = Bench::new();
    let question = bench.scheduler.register("a");
    let got = bench.scheduler.step(question, &Cancel::default(), &mut [], VOCAB).unwrap();
    assert_eq!((got.logits.n_rows(), got.mass.len()), (0, 0));
    assert!(bench.step(question, &Cancel::default(), &[]).1.unwrap().is_empty());
    assert!(bench.passes().is_empty());
}

#[test]
fn who_asks_for_rows_it_does_not_have_panics_before_any_pass() {
    let bench = Bench::new();
    let question = bench.scheduler.register("a");
    let asks = || {
        let mut sequence = sequence();
        let step = Step { sequence: &mut sequence, ids: &[1], logits: 0..2, mass: None };
        bench.scheduler.step(question, &Cancel::default(), &mut [step], VOCAB).map(drop)
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(asks)).is_err());
    assert!(bench.passes().is_empty());
    bench.step(question, &Cancel::default(), &[1]).1.unwrap();
}

#[test]
fn a_question_is_waited_for_only_while_it_may_come_back() {
    let mut queue = Queue::default();
    let (start, ms) = (Instant::now(), Duration::from_millis);
    let question = queue.register("a", start);
    assert!(!queue.expects_more(start), "it has not stepped yet");
    queue.push(Call::take(question, &Cancel::default(), &mut [], VOCAB));
    assert!(!queue.expects_more(start), "its call is here");
    queue.returned(question, start);
    assert!(queue.expects_more(start + ms(4)));
    assert!(!queue.expects_more(start + ms(5)));
    queue.unregister(question);
    assert!(!queue.expects_more(start + ms(4)));
}

#[test]
fn a_question_holds_prefill_from_its_start_on_unless_it_idles() {
    let mut queue = Queue::default();
    let start = Instant::now();
    let question = queue.register("a", start);
    assert!(queue.holds_prefill(start));
    assert!(
        !queue.holds_prefill(start + priority::HOLD),
        "so prefill may rebuild what the question waits for"
    );
    queue.push(Call::take(question, &Cancel::default(), &mut [], VOCAB));
    assert!(queue.holds_prefill(start + 9 * priority::HOLD), "however long a step takes");
    queue.returned(question, start + 9 * priority::HOLD);
    assert!(queue.holds_prefill(start + 9 * priority::HOLD));
    queue.unregister(question);
    assert!(!queue.holds_prefill(start + 9 * priority::HOLD));
}

#[test]
fn a_newcomer_starts_level_with_the_least_served() {
    let mut queue = Queue::default();
    let push = |queue: &mut Queue, owner: &str| {
        let question = queue.register(owner, Instant::now());
        let (mut sequence, ids) = (sequence(), vec![1; 400]);
        let step = Step { sequence: &mut sequence, ids: &ids, logits: 0..0, mass: None };
        queue.push(Call::take(question, &Cancel::default(), &mut [step], VOCAB))
    };
    // One pass; gives whose calls were in it.
    let pass = |queue: &mut Queue| {
        let pass = queue.take_pass();
        let ids: Vec<CallId> = pass.iter().map(|(id, _)| *id).collect();
        for (id, mut call) in pass {
            call.accept(&mut std::iter::empty(), &mut std::iter::empty::<Option<Mass>>());
            if !call.is_done() {
                queue.put_back(id, call);
            }
        }
        ids
    };
    let first = push(&mut queue, "a");
    assert_eq!(pass(&mut queue), [first]);
    assert_eq!(pass(&mut queue), [first]);
    // `a` has 400 rows behind it. Were they held against it, it would not run again before `b` had as many.
    let second = push(&mut queue, "b");
    let third = push(&mut queue, "a");
    assert_eq!(pass(&mut queue), [second]);
    assert_eq!(pass(&mut queue), [third]);
    // Both have had 256 rows since; 144 of each are left.
    assert_eq!(pass(&mut queue), [second, third]);
}

#[test]
fn prefill_gets_its_share_while_questions_never_stop() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    // Returns although the pass does not end.
    bench.scheduler.give_way();
    doors.leave.send(()).unwrap();
    first.join().unwrap().1.unwrap();
}

#[test]
fn prefill_is_held_as_long_as_a_question_runs_and_goes_on_when_it_has_ended() {
    let (bench, doors) = Bench::with_doors();
    bench.scheduler.shared.state().prefill =
        priority::Share::taken(Instant::now() + Duration::from_secs(3600));
    let question = bench.begin(&doors, vec![1]);
    let prefill = thread::spawn({
        let bench = bench.clone();
        move || bench.scheduler.give_way()
    });
    thread::sleep(2 * priority::HOLD);
    assert!(!prefill.is_finished());
    doors.leave.send(()).unwrap();
    question.join().unwrap().1.unwrap();
    prefill.join().unwrap();
}
