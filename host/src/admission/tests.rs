use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

type Wait = Pin<Box<dyn Future<Output = Option<Permit>>>>;

/// Datasets that ask, give up and finish, by their numbers.
struct World {
    admission: Arc<Admission>,
    needs: Vec<Need>,
    waiting: Vec<(usize, Wait)>,
    /// The one that began first comes first.
    running: Vec<(usize, Permit)>,
}

impl World {
    /// Datasets with so much memory for an item, and so many items at once.
    fn new(slots: usize, memory: u64, datasets: &[(u64, usize)]) -> Self {
        let needs = datasets.iter().enumerate().map(|(number, (memory, max_slots))| Need {
            dataset: format!("d{number}").into(),
            memory: *memory,
            max_slots: *max_slots,
            max_batches: usize::MAX,
            held: 0,
        });
        let needs = needs.collect();
        Self { admission: Admission::new(slots, memory), needs, waiting: Vec::new(), running: Vec::new() }
    }

    fn ask(&mut self, dataset: usize) {
        let (admission, need) = (self.admission.clone(), self.needs[dataset].clone());
        self.waiting.push((dataset, Box::pin(async move { admission.acquire(&need).await })));
        self.look();
    }

    fn give_up(&mut self, waiter: usize) {
        drop(self.waiting.remove(waiter));
        self.look();
    }

    fn finish(&mut self, item: usize) {
        drop(self.running.remove(item));
        self.look();
    }

    /// Whoever got a permit runs.
    fn look(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for (dataset, mut wait) in std::mem::take(&mut self.waiting) {
            match wait.as_mut().poll(&mut context) {
                Poll::Ready(permit) => self.running.push((dataset, permit.unwrap())),
                Poll::Pending => self.waiting.push((dataset, wait)),
            }
        }
    }

    fn runs(&self, dataset: usize) -> usize {
        self.running.iter().filter(|(other, _)| *other == dataset).count()
    }

    fn waits(&self, dataset: usize) -> usize {
        self.waiting.iter().filter(|(other, _)| *other == dataset).count()
    }

    fn memory(&self) -> u64 {
        self.running.iter().map(|(dataset, _)| self.needs[*dataset].memory).sum()
    }

    /// Those who may have one more item.
    fn wanting(&self) -> Vec<usize> {
        let may = |dataset: &usize| self.waits(*dataset) > 0 && self.runs(*dataset) < self.needs[*dataset].max_slots;
        (0..self.needs.len()).filter(may).collect()
    }

    /// The larger part of the two that a dataset has, as a common fraction's numerator.
    fn share(&self, dataset: usize) -> u128 {
        let (runs, memory) = (self.runs(dataset) as u128, u128::from(self.needs[dataset].memory));
        (runs * u128::from(self.admission.memory)).max(runs * memory * self.admission.slots as u128)
    }

    fn is_in_order(&self) {
        assert!(self.running.len() <= self.admission.slots && self.memory() <= self.admission.memory);
        for (number, need) in self.needs.iter().enumerate() {
            assert!(self.runs(number) <= need.max_slots);
        }
        // Nothing lies idle that somebody may have, unless it is kept for who is next.
        let wanting = self.wanting();
        if let Some(least) = wanting.iter().map(|dataset| self.share(*dataset)).min()
            && self.running.len() < self.admission.slots
        {
            let mut next = wanting.iter().filter(|dataset| self.share(**dataset) == least);
            let free = self.admission.memory - self.memory();
            assert!(next.any(|dataset| self.needs[*dataset].memory > free), "idle while {wanting:?} wait");
        }
        let state = self.admission.state();
        assert_eq!(state.free_slots, self.admission.slots - self.running.len());
        assert_eq!(state.free_memory, i128::from(self.admission.memory - self.memory()));
    }
}

fn datasets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((1_u64..=100, prop_oneof![Just(usize::MAX), 1_usize..4]), 1..5)
}

#[test]
fn what_is_spare_is_what_nobody_wants() {
    let mut world = World::new(2, 10, &[(4, 9), (8, 9)]);
    let spare = |world: &World, dataset: usize| world.admission.spare(&world.needs[dataset]);
    let permit = spare(&world, 1).unwrap();
    assert!(spare(&world, 1).is_none(), "the memory is gone");
    world.ask(0);
    assert!(world.running.is_empty() && spare(&world, 0).is_none(), "somebody waits");
    drop(permit);
    world.look();
    assert_eq!(world.running.len(), 1);
    assert!(spare(&world, 0).is_some());
}

proptest! {
    #[test]
    fn never_more_than_there_is_and_nothing_idle_whatever_comes_and_goes(
        slots in 1_usize..6,
        datasets in datasets(),
        events in prop::collection::vec((0..3, any::<prop::sample::Index>()), 0..80),
    ) {
        let mut world = World::new(slots, 100, &datasets);
        for (event, which) in events {
            match event {
                1 if !world.waiting.is_empty() => world.give_up(which.index(world.waiting.len())),
                2 if !world.running.is_empty() => world.finish(which.index(world.running.len())),
                _ => world.ask(which.index(datasets.len())),
            }
            world.is_in_order();
        }
        while !world.waiting.is_empty() {
            world.give_up(0);
            world.is_in_order();
        }
        world.running.clear();
        world.is_in_order();
    }

    #[test]
    fn whoever_asks_has_its_turn_whatever_the_others_flood(
        slots in 1_usize..6,
        flood in prop::collection::vec(1_u64..=100, 1..5),
        memory in 1_u64..=100,
    ) {
        let datasets: Vec<_> = flood.iter().chain([&memory]).map(|memory| (*memory, usize::MAX)).collect();
        let (mut world, last) = (World::new(slots, 100, &datasets), flood.len());
        let ask_again = |world: &mut World| (0..last).for_each(|dataset| while world.waits(dataset) < 8 { world.ask(dataset) });
        ask_again(&mut world);
        world.ask(last);
        let mut ended = 0;
        while world.runs(last) == 0 {
            world.finish(0);
            ask_again(&mut world);
            ended += 1;
            // Everything that ran has ended, and each of the others that had nothing had one turn at most.
            prop_assert!(ended <= slots + flood.len(), "{ended} items ended, and it still waits");
        }
    }

    #[test]
    fn those_who_always_want_more_have_equal_parts_of_the_slots(slots in 1_usize..12, datasets in 1_usize..5, rounds in 1..60) {
        let mut world = World::new(slots, u64::MAX, &vec![(1, usize::MAX); datasets]);
        for round in 0..rounds {
            // The first one is there first, with everything; the others come later.
            let present = if round == 0 { 1 } else { datasets };
            (0..present).for_each(|dataset| while world.waits(dataset) < slots { world.ask(dataset) });
            if round as usize > 2 * slots {
                let parts: Vec<_> = (0..datasets).map(|dataset| world.runs(dataset)).collect();
                prop_assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1, "{parts:?}");
            }
            prop_assert_eq!(world.running.len(), slots);
            world.finish(0);
        }
    }
}

#[test]
fn large_items_leave_half_of_everything_to_small_ones_and_have_the_other_half() {
    let mut world = World::new(8, 100, &[(40, usize::MAX), (5, usize::MAX)]);
    (0..20).for_each(|_| world.ask(0));
    assert_eq!(world.runs(0), 2, "alone it has what fits");
    (0..20).for_each(|_| world.ask(1));
    for _ in 0..10 {
        world.finish(0);
        world.is_in_order();
        // Each has what it would have with half of everything, one item less while it is its turn: 1 of 40, 4 of the slots.
        assert!(world.runs(0) >= 1 && world.runs(1) >= 3, "{} and {}", world.runs(0), world.runs(1));
    }
}

#[test]
fn two_datasets_take_turns_on_one_slot_and_each_keeps_its_own_order() {
    let mut world = World::new(1, 100, &[(1, usize::MAX), (1, usize::MAX)]);
    (0..4).for_each(|_| world.ask(0));
    (0..4).for_each(|_| world.ask(1));
    let mut turns = Vec::new();
    while let Some((dataset, _)) = world.running.first() {
        turns.push(*dataset);
        world.finish(0);
    }
    assert_eq!(turns, [0, 1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn a_dataset_has_no_more_batches_than_it_may_except_at_the_last_delivery() {
    let admission = Admission::new(1, 1);
    let need = Need { dataset: "d".into(), memory: 1, max_slots: 1, max_batches: 2, held: 0 };
    let seats = [admission.seat(&need, false), admission.seat(&need, false)];
    assert!(seats.iter().all(Option::is_some) && admission.seat(&need, false).is_none());
    let last = admission.seat(&need, true);
    assert!(last.is_some());
    drop(seats);
    assert!(admission.seat(&need, false).is_some(), "the last delivery's is one of the two");
    let other = Need { dataset: "other".into(), ..need };
    assert!(admission.seat(&other, false).is_some());
}

#[test]
fn an_item_that_never_fits_is_objected_to() {
    let plugin = crate::dataset::PluginSpec {
        component: crate::dataset::ComponentRef::File("p.wasm".into()),
        memory: 64 << 20,
        timeout: std::time::Duration::from_secs(1),
        max_output: 16 << 20,
        max_log: 0,
        instance: crate::dataset::InstanceLife::Item,
        max_slots: None,
        max_batches: None,
    };
    let need = Need::of("d", &plugin);
    assert_eq!((need.memory >> 20, need.max_slots), (64 + 128 + 2 * 16, usize::MAX));
    assert_eq!(Admission::new(1, 224 << 20).objection(&need), None);
    let objection = Admission::new(1, 223 << 20).objection(&need).unwrap();
    assert!(objection.contains("224.0 MiB") && objection.contains("223.0 MiB"), "{objection}");
    let sorts = Need { held: 64 << 20, ..need };
    assert_eq!(Admission::new(1, 288 << 20).objection(&sorts), None);
    let objection = Admission::new(1, 287 << 20).objection(&sorts).unwrap();
    assert!(objection.contains(" beside 64.0 MiB of rows that wait to be sorted"), "{objection}");
}

/// Permits are waited for on one runtime and given back on another, by threads that give up as they like.
#[test]
fn nothing_is_lost_between_threads() {
    let admission = Admission::new(3, 10);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8_usize {
            let admission = admission.clone();
            let need =
                Need { dataset: format!("d{}", task % 3).into(), memory: 4, max_slots: 2, max_batches: 1, held: 0 };
            tasks.spawn(async move {
                for round in 0..200 {
                    let mut wait = Box::pin(admission.acquire(&need));
                    if (round + task) % 3 == 0 {
                        // Looked at once, and given up.
                        let _ = futures::poll!(&mut wait);
                    } else {
                        let _permit = wait.await;
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    });
    let state = admission.state();
    assert_eq!((state.free_slots, state.free_memory), (3, 10));
    let names: HashSet<_> = state.members.keys().map(|name| name.to_string()).collect();
    assert_eq!(names.len(), 3);
}

const MIB: u64 = 1 << 20;

/// A batch whose items leave rows until it ends. It says when it has ended, and how often it began.
async fn batch(
    admission: Arc<Admission>,
    need: Need,
    items: Vec<u64>,
    most: Arc<AtomicU64>,
) -> Result<usize, Displaced> {
    let mut holding = Arc::new(admission.holding(&need));
    let mut begun = 1;
    'again: loop {
        for rows in &items {
            let Some(permit) = holding.acquire(&need).await else {
                match holding.displaced().await {
                    Displaced::Later => {
                        holding = Arc::new(holding.again().await);
                        begun += 1;
                        continue 'again;
                    }
                    large => return Err(large),
                }
            };
            tokio::task::yield_now().await;
            holding.hand_over(*rows);
            drop(permit);
            most.fetch_max(held(&admission), Relaxed);
            tokio::task::yield_now().await;
            holding.looked_at(1, 0);
        }
        tokio::task::yield_now().await;
        return Ok(begun);
    }
}

/// What permits and rows take together.
fn held(admission: &Admission) -> u64 {
    u64::try_from(i128::from(admission.memory) - admission.state().free_memory).unwrap()
}

fn run_batches(memory: u64, batches: Vec<Vec<u64>>) -> (Vec<Result<usize, Displaced>>, Arc<Admission>, u64) {
    let admission = Admission::new(2, memory);
    let most = Arc::new(AtomicU64::new(0));
    let work = batches.into_iter().enumerate().map(|(number, items)| {
        let dataset = format!("d{}", number % 2).into();
        let need = Need { dataset, memory: 100 * MIB, max_slots: 2, max_batches: 9, held: 0 };
        batch(admission.clone(), need, items, most.clone())
    });
    // Under a paused clock the time is over as soon as nobody goes on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let ended =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), futures::future::join_all(work)).await });
    (ended.expect("nobody goes on"), admission, most.load(Relaxed))
}

#[test]
fn rows_of_two_batches_that_leave_no_room_cost_the_later_one_its_own() {
    let items = vec![30 * MIB; 4];
    let (ended, admission, most) = run_batches(220 * MIB, vec![items.clone(), items]);
    assert_eq!(ended[0], Ok(1), "the first is never disturbed");
    assert!(matches!(ended[1], Ok(2..)), "{ended:?}");
    assert!(most <= 220 * MIB, "{most}");
    let state = admission.state();
    assert_eq!((state.free_slots, state.free_memory, state.held.len()), (2, i128::from(220 * MIB), 0));
}

#[test]
fn a_batch_that_is_too_large_alone_is_said_and_the_others_end() {
    let (ended, ..) = run_batches(220 * MIB, vec![vec![60 * MIB; 4], vec![10 * MIB; 3]]);
    // The small one makes room once, for nothing.
    assert_eq!(ended, [Err(Displaced::TooLarge(180 * MIB)), Ok(2)]);
}

#[test]
fn small_rows_are_not_counted() {
    let (ended, ..) = run_batches(100 * MIB, vec![vec![MIB; 4], vec![MIB; 4]]);
    assert_eq!(ended, [Ok(1), Ok(1)]);
}

proptest! {
    /// Whatever rows there are, each batch ends, and no more memory is given out than there is.
    #[test]
    fn every_batch_that_fits_alone_ends(
        batches in prop::collection::vec(prop::collection::vec(0_u64..40, 1..6), 1..6),
        room in 170_u64..400,
    ) {
        let large: Vec<bool> = batches.iter().map(|items| {
            // The last item's rows need no room for a next one.
            let before: u64 = items[..items.len() - 1].iter().sum();
            (before.saturating_sub(4) + 100) > room
        }).collect();
        let batches: Vec<Vec<u64>> = batches.into_iter().map(|items| items.into_iter().map(|n| n * MIB).collect()).collect();
        let (ended, admission, most) = run_batches(room * MIB, batches);
        for (ended, large) in ended.iter().zip(large) {
            prop_assert_eq!(ended.is_err(), large, "{:?}", ended);
        }
        prop_assert!(most <= room * MIB, "{}", most);
        let state = admission.state();
        prop_assert_eq!((state.free_slots, state.free_memory), (2, i128::from(room * MIB)));
        prop_assert!(state.members.values().all(|member| member.rows == 0 && member.memory == 0));
    }
}

/// What an item sets aside while it pauses is the batch's own: nobody has to give anything up for it.
#[tokio::test]
async fn an_item_that_pauses_before_it_is_repeated_leaves_its_batch_alone() {
    let need = Need { dataset: "d".into(), memory: 288 * MIB, max_slots: 2, max_batches: 1, held: 0 };
    let admission = Admission::new(2, 448 * MIB);
    let holding = admission.holding(&need);
    let first = holding.acquire(&need).await.unwrap();
    let mut second = Box::pin(holding.acquire(&need));
    assert!(futures::poll!(&mut second).is_pending());
    holding.reserve(need.memory);
    drop(first);
    assert!(!holding.is_displaced() && futures::poll!(&mut second).is_pending());
    // It comes back for a slot alone, and is not held up by the one that waits for memory.
    let again = holding.acquire(&Need { memory: 0, ..need.clone() }).await.unwrap();
    drop(again);
    holding.unreserve(need.memory);
    assert!(second.await.is_some());
}
