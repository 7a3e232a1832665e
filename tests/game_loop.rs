//! The example `game_loop`: its rules and packets, its screen at 80 by 24, and a whole game of bots over loopback.
//!
//! The unit tests of the example's own rooms run here, too: it is a module of this test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(unix, feature = "net"))]

use std::process::Command;

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../examples/game_loop/main.rs"]
mod game_loop;

/// Runs the program of this build to its end.
fn run(words: &[&str]) -> (Option<i32>, String, String) {
    // target/PROFILE/deps/game_loop-HASH
    let this = std::env::current_exe().unwrap();
    let path = this.ancestors().nth(2).unwrap().join("examples").join("game_loop");
    assert!(path.exists(), "{} is not built: cargo build --examples", path.display());
    let output = Command::new(path).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn four_bots_play_a_game_to_its_end() {
    let (code, out, err) = run(&["--bots", "4", "--headless", "--seconds", "4"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let line =
        |start: &str| out.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {out}"));
    assert_eq!(line("players"), "players  4: Ana, Ben, Cem, Dee");
    let story = "story    joined 4/4, ready 4/4, started 4/4, moved 4/4, ended 4/4, left 4/4, points scored";
    assert_eq!(line("story"), story);
    assert_eq!(line("scores").matches(", ").count(), 3, "{out}");
    line("meetings").split_once(' ').unwrap().1.parse::<u32>().unwrap();
    for end in ["host ", "members"] {
        let counts = line(end);
        let count = |word: &str| -> u64 {
            let words: Vec<&str> = counts.split([' ', '(', ',']).filter(|word| !word.is_empty()).collect();
            words[words.iter().position(|&at| at == word).unwrap() - 1].parse().unwrap()
        };
        assert!(count("sent") > 50 && count("taken") > 50, "{counts}");
        assert_eq!(count("refused"), 0, "{counts}");
    }
}

#[test]
fn bad_words_are_2_with_the_usage_and_help_is_0() {
    let bad: [&[&str]; 9] = [
        &["--seconds", "0"],
        &["--seconds", "soon"],
        &["--bots", "8"],
        &["--headless", "--bots", "0"],
        &["--host", "--join", "K7Q-F2M"],
        &["--join"],
        &["--play"],
        &["--loopback", "--beacon-port", "0"],
        &["--loopback", "--name", ""],
    ];
    for words in bad {
        let (code, out, err) = run(words);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{words:?}: {err}");
        assert!(err.contains("usage: game_loop"), "{words:?}: {err}");
    }
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("--headless"), "{out}");
}
