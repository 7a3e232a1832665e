//! The rules: a board, its runners and gems. No clock, no sockets: the host gives it headings and ticks.
//!
//! Runners collect gems. One of them is "it": on whom it lands loses a point to it, and is it from then on.

/// Ticks of a second, and states that the host sends in one.
pub(crate) const TICKS: u32 = 20;
/// The most runners; the most seats of a room.
pub(crate) const RUNNERS: usize = 8;
pub(crate) const WIDTH: u8 = 24;
pub(crate) const HEIGHT: u8 = 16;

/// A runner moves one cell every so many ticks.
const STEP: u32 = 3;
/// Who was just tagged cannot tag for so many ticks.
const GRACE: u32 = 30;
/// Gems on the board, beyond one for each runner.
const GEMS: usize = 2;

/// `#` is a wall.
const WALLS: [&str; HEIGHT as usize] = [
    "........................",
    "........................",
    "....##............##....",
    "....#..............#....",
    "..........####..........",
    "........................",
    "..##......#..#......##..",
    "...#................#...",
    "...#................#...",
    "..##......#..#......##..",
    "........................",
    "..........####..........",
    "....#..............#....",
    "....##............##....",
    "........................",
    "........................",
];

/// Where runners begin; more come in where it is free.
const STARTS: [(u8, u8); RUNNERS] = [(7, 5), (16, 10), (16, 5), (7, 10), (11, 2), (12, 13), (1, 7), (22, 8)];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) x: u8,
    pub(crate) y: u8,
}

impl Cell {
    pub(crate) fn is_wall(self) -> bool {
        WALLS.get(usize::from(self.y)).and_then(|row| row.as_bytes().get(usize::from(self.x))) != Some(&b'.')
    }

    /// One step on, unless a wall or the board's edge is there.
    pub(crate) fn step(self, heading: Heading) -> Self {
        let (x, y) = match heading {
            Heading::Still => return self,
            Heading::Up => (Some(self.x), self.y.checked_sub(1)),
            Heading::Down => (Some(self.x), self.y.checked_add(1)),
            Heading::Left => (self.x.checked_sub(1), Some(self.y)),
            Heading::Right => (self.x.checked_add(1), Some(self.y)),
        };
        match (x, y) {
            (Some(x), Some(y)) if !(Cell { x, y }).is_wall() => Cell { x, y },
            _ => self,
        }
    }
}

/// Where a runner runs to, until it says otherwise: a terminal does not tell when a key is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Heading {
    #[default]
    Still,
    Up,
    Down,
    Left,
    Right,
}

impl Heading {
    pub(crate) const MOVES: [Self; 4] = [Self::Up, Self::Down, Self::Left, Self::Right];

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Still => 0,
            Self::Up => 1,
            Self::Down => 2,
            Self::Left => 3,
            Self::Right => 4,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Still, Self::Up, Self::Down, Self::Left, Self::Right].into_iter().find(|h| h.to_byte() == byte)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runner {
    /// The member's number in the session.
    pub(crate) number: u8,
    pub(crate) at: Cell,
    pub(crate) heading: Heading,
    pub(crate) score: u16,
}

/// All that is seen of the game; what the host sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) tick: u32,
    /// Ticks to the end.
    pub(crate) left: u16,
    pub(crate) it: Option<u8>,
    /// How often two runners came together.
    pub(crate) meetings: u16,
    pub(crate) runners: Vec<Runner>,
    pub(crate) gems: Vec<Cell>,
}

impl State {
    pub(crate) fn runner(&self, number: u8) -> Option<&Runner> {
        self.runners.iter().find(|runner| runner.number == number)
    }

    /// The runners, the best first.
    pub(crate) fn ranking(&self) -> Vec<&Runner> {
        let mut all: Vec<&Runner> = self.runners.iter().collect();
        all.sort_by_key(|runner| (std::cmp::Reverse(runner.score), runner.number));
        all
    }

    /// At most 79 bytes: one packet.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        out.extend(self.tick.to_be_bytes());
        out.extend(self.left.to_be_bytes());
        out.push(self.it.unwrap_or(u8::MAX));
        out.extend(self.meetings.to_be_bytes());
        out.push(u8::try_from(self.runners.len()).unwrap_or(u8::MAX));
        for runner in &self.runners {
            out.extend([runner.number, runner.at.x, runner.at.y, runner.heading.to_byte()]);
            out.extend(runner.score.to_be_bytes());
        }
        out.push(u8::try_from(self.gems.len()).unwrap_or(u8::MAX));
        out.extend(self.gems.iter().flat_map(|gem| [gem.x, gem.y]));
        out
    }

    /// `None` where the bytes are no state: even a host we trust may run another version of the game.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader(bytes);
        let (tick, left) = (u32::from_be_bytes(bytes.take()?), u16::from_be_bytes(bytes.take()?));
        let it = Some(bytes.byte()?).filter(|&it| it != u8::MAX);
        let meetings = u16::from_be_bytes(bytes.take()?);
        let mut runners = Vec::new();
        for _ in 0..bytes.count(RUNNERS)? {
            let (number, at) = (bytes.byte()?, bytes.cell()?);
            let heading = Heading::from_byte(bytes.byte()?)?;
            runners.push(Runner { number, at, heading, score: u16::from_be_bytes(bytes.take()?) });
        }
        let mut gems = Vec::new();
        for _ in 0..bytes.count(RUNNERS + GEMS)? {
            gems.push(bytes.cell()?);
        }
        bytes.0.is_empty().then_some(Self { tick, left, it, meetings, runners, gems })
    }
}

/// Bytes that came from elsewhere.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        self.byte().map(usize::from).filter(|&count| count <= most)
    }

    fn cell(&mut self) -> Option<Cell> {
        let [x, y] = self.take()?;
        let cell = Cell { x, y };
        (!cell.is_wall()).then_some(cell)
    }
}

/// The one true board, at the host.
#[derive(Debug)]
pub(crate) struct Board {
    state: State,
    /// Who is it may tag again at this tick.
    tags_from: u32,
    chance: u64,
}

impl Board {
    /// A board for these members' numbers that ends after so many ticks.
    pub(crate) fn new(numbers: &[u8], ticks: u16, seed: u64) -> Self {
        let state = State { left: ticks, it: numbers.first().copied(), ..State::default() };
        let mut board = Self { state, tags_from: GRACE, chance: seed };
        board.seat(numbers);
        board
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state.left == 0
    }

    /// Exactly these members play: others leave the board, new ones come onto it.
    pub(crate) fn seat(&mut self, numbers: &[u8]) {
        self.state.runners.retain(|runner| numbers.contains(&runner.number));
        for &number in numbers.iter().take(RUNNERS) {
            if self.state.runner(number).is_none() {
                let start = STARTS.iter().map(|&(x, y)| Cell { x, y }).find(|&cell| self.is_free(cell));
                let at = start.unwrap_or_else(|| self.free_cell());
                self.state.runners.push(Runner { number, at, heading: Heading::Still, score: 0 });
            }
        }
        if self.state.it.is_none_or(|it| self.state.runner(it).is_none()) {
            self.state.it = self.state.runners.first().map(|runner| runner.number);
        }
    }

    pub(crate) fn steer(&mut self, number: u8, heading: Heading) {
        if let Some(runner) = self.state.runners.iter_mut().find(|runner| runner.number == number) {
            runner.heading = heading;
        }
    }

    /// A twentieth of a second.
    pub(crate) fn tick(&mut self) {
        if self.is_over() {
            return;
        }
        self.state.tick += 1;
        self.state.left -= 1;
        if self.state.tick % STEP == 0 {
            let before: Vec<Cell> = self.state.runners.iter().map(|runner| runner.at).collect();
            for runner in &mut self.state.runners {
                runner.at = runner.at.step(runner.heading);
            }
            self.collect();
            self.meet(&before);
        }
        while self.state.gems.len() < self.state.runners.len() + GEMS {
            let gem = self.free_cell();
            self.state.gems.push(gem);
        }
        self.state.gems.truncate(self.state.runners.len() + GEMS);
    }

    fn collect(&mut self) {
        let gems = &mut self.state.gems;
        for runner in &mut self.state.runners {
            if let Some(at) = gems.iter().position(|&gem| gem == runner.at) {
                gems.swap_remove(at);
                runner.score = runner.score.saturating_add(1);
            }
        }
    }

    /// Two runners meet when they come onto one cell, or pass through each other.
    fn meet(&mut self, before: &[Cell]) {
        let mut tagged = None;
        let after: Vec<(u8, Cell, Cell)> =
            self.state.runners.iter().zip(before).map(|(runner, &was)| (runner.number, was, runner.at)).collect();
        for (at, &(one, was, is)) in after.iter().enumerate() {
            for &(other, other_was, other_is) in after.iter().skip(at + 1) {
                let together = is == other_is && was != other_was;
                let passed = is == other_was && was == other_is && was != is;
                if !together && !passed {
                    continue;
                }
                self.state.meetings = self.state.meetings.saturating_add(1);
                match self.state.it {
                    Some(it) if it == one => tagged = Some((one, other)),
                    Some(it) if it == other => tagged = Some((other, one)),
                    _ => {}
                }
            }
        }
        if let Some((it, caught)) = tagged {
            if self.state.tick >= self.tags_from {
                self.tag(it, caught);
            }
        }
    }

    fn tag(&mut self, it: u8, caught: u8) {
        self.state.it = Some(caught);
        self.tags_from = self.state.tick + GRACE;
        let stolen = self.state.runners.iter_mut().find(|runner| runner.number == caught && runner.score > 0);
        if let Some(runner) = stolen {
            runner.score -= 1;
            if let Some(runner) = self.state.runners.iter_mut().find(|runner| runner.number == it) {
                runner.score = runner.score.saturating_add(1);
            }
        }
    }

    fn is_free(&self, cell: Cell) -> bool {
        !cell.is_wall() && !self.state.gems.contains(&cell) && self.state.runners.iter().all(|runner| runner.at != cell)
    }

    /// There always is one: eight runners and their gems do not fill the board.
    fn free_cell(&mut self) -> Cell {
        loop {
            // SplitMix64: no cryptography, just gems.
            self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.chance;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let [x, y, ..] = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).to_be_bytes();
            let cell = Cell { x: x % WIDTH, y: y % HEIGHT };
            if self.is_free(cell) {
                return cell;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(cells: &[(u8, u8)]) -> Board {
        let numbers: Vec<u8> = (0..cells.len()).map(|at| u8::try_from(at).unwrap()).collect();
        let mut board = Board::new(&numbers, 1_000, 7);
        for (runner, &(x, y)) in board.state.runners.iter_mut().zip(cells) {
            runner.at = Cell { x, y };
        }
        board
    }

    fn run(board: &mut Board, ticks: u32) {
        for _ in 0..ticks {
            board.tick();
            // Only gems that a test lays count.
            board.state.gems.clear();
        }
    }

    #[test]
    fn a_runner_moves_a_cell_in_three_ticks_and_stops_at_walls_and_edges() {
        let mut board = board(&[(3, 3), (23, 0)]);
        board.steer(0, Heading::Right);
        board.steer(1, Heading::Up);
        run(&mut board, 60);
        assert_eq!(board.state.runners[0].at, Cell { x: 3, y: 3 }, "a wall is at 4, 3");
        assert_eq!(board.state.runners[1].at, Cell { x: 23, y: 0 });
        board.steer(0, Heading::Down);
        run(&mut board, 6);
        assert_eq!(board.state.runners[0].at, Cell { x: 3, y: 5 });
        board.steer(0, Heading::Still);
        run(&mut board, 60);
        assert_eq!(board.state.runners[0].at, Cell { x: 3, y: 5 });
    }

    #[test]
    fn a_gem_is_a_point_and_another_one_comes() {
        let mut board = board(&[(0, 0)]);
        board.state.gems = vec![Cell { x: 1, y: 0 }];
        board.steer(0, Heading::Right);
        for _ in 0..STEP {
            board.state.gems.truncate(1);
            board.tick();
        }
        assert_eq!(board.state.runners[0].score, 1);
        assert_eq!(board.state.gems.len(), 3);
        assert!(board.state.gems.iter().all(|gem| !gem.is_wall()));
    }

    #[test]
    fn a_tag_takes_a_point_and_hands_it_on_once_the_grace_is_over() {
        let mut board = board(&[(8, 0), (10, 0)]);
        board.state.runners[1].score = 3;
        assert_eq!(board.state.it, Some(0));
        board.steer(0, Heading::Right);
        run(&mut board, GRACE);
        assert_eq!((board.state.meetings, board.state.it), (1, Some(0)), "met and passed during the grace");
        board.steer(0, Heading::Left);
        run(&mut board, 60);
        assert_eq!((board.state.meetings, board.state.it), (2, Some(1)));
        assert_eq!((board.state.runners[0].score, board.state.runners[1].score), (1, 2));
    }

    #[test]
    fn runners_that_pass_through_each_other_meet_and_those_that_rest_together_meet_once() {
        let mut board = board(&[(8, 0), (9, 0)]);
        board.steer(0, Heading::Right);
        board.steer(1, Heading::Left);
        run(&mut board, STEP);
        assert_eq!(board.state.meetings, 1);
        board.steer(0, Heading::Left);
        board.steer(1, Heading::Still);
        run(&mut board, STEP);
        board.steer(0, Heading::Still);
        run(&mut board, 10 * STEP);
        assert_eq!(board.state.meetings, 2);
    }

    #[test]
    fn members_come_and_go_and_somebody_always_is_it() {
        let mut board = Board::new(&[0, 2, 5], 100, 1);
        board.seat(&[2, 5, 6]);
        let numbers: Vec<u8> = board.state.runners.iter().map(|runner| runner.number).collect();
        assert_eq!((numbers, board.state.it), (vec![2, 5, 6], Some(2)));
        board.seat(&[]);
        board.tick();
        assert_eq!(board.state.it, None);
        assert!(board.state.runners.is_empty());
    }

    #[test]
    fn it_ends_after_its_ticks() {
        let mut board = Board::new(&[0], 5, 1);
        for _ in 0..9 {
            board.tick();
        }
        assert!(board.is_over());
        assert_eq!((board.state.tick, board.state.left), (5, 0));
    }

    #[test]
    fn a_state_round_trips_and_broken_bytes_are_none() {
        let mut board = Board::new(&[0, 1, 2, 3, 4, 5, 6, 7], 100, 3);
        board.tick();
        let bytes = board.state.to_bytes();
        assert_eq!(bytes.len(), 79);
        assert_eq!(State::from_bytes(&bytes).as_ref(), Some(&board.state));
        for end in 0..bytes.len() {
            assert_eq!(State::from_bytes(&bytes[..end]), None);
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(State::from_bytes(&longer), None);
        for at in 0..bytes.len() {
            for flip in 1..=u8::MAX {
                let mut broken = bytes.clone();
                broken[at] ^= flip;
                if let Some(state) = State::from_bytes(&broken) {
                    assert!(state.gems.iter().all(|gem| !gem.is_wall()));
                }
            }
        }
    }
}
