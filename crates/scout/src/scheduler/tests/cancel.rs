//! Questions that are cancelled while they wait or while a pass has them.

use super::*;

#[test]
fn a_cancelled_question_leaves_the_queue_and_gets_its_sequence_back() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    let (cancel, question) = (Cancel::default(), bench.scheduler.register("a"));
    let queued = thread::spawn({
        let (bench, cancel) = (bench.clone(), cancel.clone());
        move || {
            let mut sequence = sequence();
            sequence.grow(5);
            let step = Step { sequence: &mut sequence, ids: &[2; 1000], logits: 0..0, mass: None };
            let got = bench.scheduler.step(question, &cancel, &mut [step], VOCAB).map(drop);
            (sequence.is_spent(), sequence.next_pos(), got)
        }
    });
    bench.until(|state| state.queue.n_waiting() == 1);
    cancel.cancel();
    // The pass is still running.
    let (spent, len, error) = queued.join().unwrap();
    assert!(matches!(error, Err(Error::Cancelled)));
    assert_eq!((spent, len), (false, 5));
    doors.leave.send(()).unwrap();
    first.join().unwrap().1.unwrap();
    assert_eq!(bench.passes().len(), 1, "the cancelled question was in no pass");
    assert!(matches!(bench.step(question, &cancel, &[3]).1, Err(Error::Cancelled)));
}

/// No pass ends in this test before the cancelled caller has its answer.
#[test]
fn a_cancelled_question_leaves_a_pass_that_goes_on_for_the_others() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    let (cancel, question) = (Cancel::default(), bench.scheduler.register("a"));
    let stays = bench.queue("b", vec![3, 4], 0);
    let leaves = bench.queue_in(question, &cancel, vec![2; 300], 1);
    doors.leave.send(()).unwrap();
    first.join().unwrap().1.unwrap();
    doors.began.recv().unwrap();
    cancel.cancel();
    assert!(matches!(leaves.join().unwrap().1, Err(Error::Cancelled)));
    assert_eq!(bench.scheduler.shared.state().left.len(), 1);
    doors.leave.send(()).unwrap();
    assert_eq!(stays.join().unwrap().1.unwrap(), alone(&[3, 4]));
    bench.until(|state| state.left.is_empty() && state.finished.is_empty() && state.queue.is_empty());
    let passes = bench.passes();
    assert_eq!(passes.len(), 2, "nothing was run again, nor for the one who left");
    assert_eq!(passes[1], [vec![3, 4], vec![2; 254]]);
}

#[test]
fn a_pass_that_everybody_left_ends_at_its_gate() {
    let (bench, doors) = Bench::with_doors();
    let (cancel, question) = (Cancel::default(), bench.scheduler.register("a"));
    let running = thread::spawn({
        let (bench, cancel) = (bench.clone(), cancel.clone());
        move || {
            let mut sequence = sequence();
            let step = Step { sequence: &mut sequence, ids: &[3; 1000], logits: 0..0, mass: None };
            let got = bench.scheduler.step(question, &cancel, &mut [step], VOCAB).map(drop);
            (sequence.is_spent(), got)
        }
    });
    doors.let_end(1);
    doors.began.recv().unwrap();
    cancel.cancel();
    let (spent, error) = running.join().unwrap();
    assert!(matches!(error, Err(Error::Cancelled)) && spent);
    doors.leave.send(()).unwrap();
    bench.until(|state| state.left.is_empty());
    assert_eq!(bench.passes().len(), 2, "of four that its rows would take");
}

#[test]
fn a_pass_that_fails_is_not_run_again_for_who_is_cancelled() {
    let (bench, doors) = Bench::with_doors();
    let first = bench.begin(&doors, vec![1]);
    let (cancel, question) = (Cancel::default(), bench.scheduler.register("a"));
    let leaves = bench.queue_in(question, &cancel, vec![2], 0);
    let bad = bench.queue("b", vec![REFUSED], 1);
    doors.leave.send(()).unwrap();
    first.join().unwrap().1.unwrap();
    doors.began.recv().unwrap();
    cancel.cancel();
    leaves.join().unwrap().1.unwrap_err();
    doors.leave.send(()).unwrap();
    doors.let_end(1);
    bad.join().unwrap().1.unwrap_err();
    assert_eq!(bench.passes()[1..], [vec![vec![2], vec![REFUSED]], vec![vec![REFUSED]]]);
}

#[test]
fn a_spent_sequence_is_refused_before_any_pass() {
    let bench = Bench::new();
    let question = bench.scheduler.register("a");
    let mut spent = sequence();
    drop(spent.take());
    let asks = || {
        let step = Step { sequence: &mut spent, ids: &[1], logits: 0..1, mass: None };
        bench.scheduler.step(question, &Cancel::default(), &mut [step], VOCAB).map(drop)
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(asks)).is_err());
    assert!(bench.passes().is_empty());
}
