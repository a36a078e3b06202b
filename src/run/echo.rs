//! The other end of a test call: a spoken prompt, then the callee's own voice. No agent, no network: what is wrong
//! in such a call is wrong with the phone or the line.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;

use super::link::TalkerEnd;
use crate::call::audio::Block;
use crate::call::conversation::{AgentCommand, AgentEnd, AgentEvent};
use crate::sys::mailbox::{Closed, Mailbox};
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, on, wait};

/// "This is a callscoot test call. Speak after the tone, and you will hear yourself." in mu-law at 8 kHz.
static PROMPT: &[u8] = include_bytes!("echo_prompt.ulaw");
/// 20 ms of it.
const PROMPT_BLOCK_BYTES: usize = 160;
/// Blocks of the callee's voice on their way back; beyond 200 ms the oldest is dropped, so the echo never lags more.
const ECHO_BLOCKS_MAX: usize = 10;

/// Starts the thread; it ends with `Ended(Closed)` after `AgentCommand::Close`.
pub fn spawn(
    spawner: &Spawner,
    talker: TalkerEnd,
    commands: Mailbox<AgentCommand>,
    mut tell: impl FnMut(AgentEvent) + Send + 'static,
) -> io::Result<()> {
    spawner.spawn(Role::Agent, move || {
        let end = match run(talker, &commands) {
            Ok(()) => AgentEnd::Closed,
            Err(error) => AgentEnd::Failed { error: format!("the echo cannot wait: {error}") },
        };
        tell(AgentEvent::Ended(end));
    })?;
    Ok(())
}

fn run(mut talker: TalkerEnd, commands: &Mailbox<AgentCommand>) -> io::Result<()> {
    let mut prompt = PROMPT.chunks(PROMPT_BLOCK_BYTES);
    let mut echo: VecDeque<Block> = VecDeque::with_capacity(ECHO_BLOCKS_MAX + 1);
    let mut active = false;
    loop {
        wait(&mut [on(commands.as_fd(), Interest::READ), on(talker.wake().as_fd(), Interest::READ)], None)?;
        commands.lower();
        talker.wake().lower();
        loop {
            match commands.next() {
                Ok(Some(AgentCommand::Activate)) => {
                    active = true;
                    talker.open_uplink();
                }
                Ok(Some(AgentCommand::Close)) | Err(Closed) => return Ok(()),
                // Nobody here understands words, and while the audio is elsewhere there is nothing to send back.
                Ok(Some(
                    AgentCommand::ContextualUpdate { .. }
                    | AgentCommand::UserMessage { .. }
                    | AgentCommand::Hold
                    | AgentCommand::Resume,
                )) => {}
                Ok(None) => break,
            }
        }
        let speaking = prompt.len() > 0;
        while let Some(block) = talker.pop() {
            // What the callee says into the prompt is not repeated.
            if !speaking {
                echo.push_back(block);
            }
        }
        while echo.len() > ECHO_BLOCKS_MAX {
            echo.pop_front();
        }
        while active && talker.room() > 0 {
            let Some(block) = prompt.next().map(Block::ulaw8k).or_else(|| echo.pop_front()) else { break };
            talker.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;

    use super::*;
    use crate::call::audio::BlockFormat;
    use crate::run::link::link;
    use crate::sys::mailbox::mailbox;

    #[test]
    fn the_prompt_comes_first_then_what_was_said() {
        let (deaths, _) = unbounded();
        let (mut media, talker) = link().unwrap();
        let (commands, mail) = mailbox(4).unwrap();
        let (told, ended) = unbounded();
        spawn(&Spawner::new(deaths), talker, mail, move |event| told.send(event).unwrap()).unwrap();
        commands.send(AgentCommand::Activate).unwrap();
        let mut prompt = 0;
        while prompt < PROMPT.chunks(PROMPT_BLOCK_BYTES).len() {
            match media.pop() {
                Some(block) => {
                    assert_eq!(block.format(), BlockFormat::Ulaw8k);
                    prompt += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        let echoed = loop {
            media.push(Block::pcm16k(&[4242; 320]));
            if let Some(block) = media.pop() {
                break block;
            }
            std::thread::yield_now();
        };
        assert_eq!(echoed.samples().first(), Some(&4242));
        commands.send(AgentCommand::Close).unwrap();
        assert_eq!(ended.recv(), Ok(AgentEvent::Ended(AgentEnd::Closed)));
    }
}
