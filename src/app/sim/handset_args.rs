//! `callscoot sim phone --hfp` on the command line.

use std::io::{self, stdin, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::unbounded;

use super::command::{PhoneArgs, number, words};
use super::handset::{self, Mail, Options};
use crate::app::fault::Fault;
use crate::hfp::Codec;
use crate::hfp::host::Address;
use crate::sys::mailbox::mailbox;
use crate::sys::thread::Spawner;
use crate::sys::{clock, signal};

/// Lines and reports that wait at once; the phone takes them within a moment.
const MAIL_MAX: usize = 1024;

/// A phone behind Bluetooth.
#[derive(Debug, clap::Args)]
pub(super) struct HandsetArgs {
    /// Be a phone behind Bluetooth, on a message bus instead of a radio. Its first line tells the environment with
    /// which `callscoot serve` finds it.
    #[arg(long, conflicts_with_all = ["port", "bind", "from", "refuse", "stereo"])]
    pub(super) hfp: bool,
    /// Play bluetoothd on this bus (`unix:path=…`) instead of starting one.
    #[arg(long, value_name = "ADDRESS", requires = "hfp")]
    bus: Option<String>,
    /// Open voice links in this folder instead of one of its own.
    #[arg(long, value_name = "FOLDER", requires = "hfp")]
    sco_dir: Option<PathBuf>,
    /// The phone's Bluetooth address.
    #[arg(long, value_name = "ADDRESS", requires = "hfp", default_value = "02:CA:11:5C:00:02")]
    address: Address,
    /// The phone's name.
    #[arg(long, requires = "hfp", default_value = "Simulated phone")]
    name: String,
    /// It is paired and trusted already.
    #[arg(long, requires = "hfp")]
    known: bool,
    /// The codec that it chooses where the other side has it.
    #[arg(long, value_enum, requires = "hfp", default_value_t = CodecArg::Msbc)]
    codec: CodecArg,
    /// Be at an adb server too, which listens on this port; 0 for any.
    #[arg(long, value_name = "PORT", requires = "hfp")]
    adb: Option<u16>,
    /// Neither dial, answer nor hang up when told to over Bluetooth.
    #[arg(long, requires = "hfp")]
    disobey: bool,
    /// Size of its packets on a voice link; adapters have 24, 48, 60, 64 or 72.
    #[arg(long, value_name = "N", requires = "hfp", default_value_t = 60, value_parser = packet_bytes)]
    packet_bytes: usize,
    /// Somebody who calls gives up after so long.
    #[arg(long, value_name = "MS", requires = "hfp")]
    give_up_ms: Option<u64>,
}

/// A codec, as it is written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum CodecArg {
    /// 8 kHz.
    Cvsd,
    /// 16 kHz.
    Msbc,
}

fn packet_bytes(text: &str) -> Result<usize, String> {
    // Whole samples of 16 bits.
    let good = |bytes: &usize| (2..=240).contains(bytes) && bytes.is_multiple_of(2);
    text.parse().ok().filter(good).ok_or_else(|| "an even number from 2 to 240".into())
}

/// Runs the phone until it is done, or told to stop.
pub(super) fn run(args: PhoneArgs) -> Result<(), Fault> {
    let own = args.handset;
    let options = Options {
        bus: own.bus,
        sco_dir: own.sco_dir,
        address: own.address,
        name: own.name,
        known: own.known,
        codec: match own.codec {
            CodecArg::Cvsd => Codec::Cvsd,
            CodecArg::Msbc => Codec::Msbc,
        },
        adb_port: own.adb,
        obeys: !own.disobey,
        packet_bytes: own.packet_bytes,
        call: args.call.as_deref().map(number).transpose().map_err(Fault::Config)?,
        give_up_after: own.give_up_ms.map(Duration::from_millis),
        ring_for: Duration::from_millis(args.ring_ms),
        hang_up_after: args.hang_up_ms.map(Duration::from_millis),
        say: Arc::from(words(args.play.as_deref())?),
        record: args.record,
        once: args.once,
    };
    let (died, _deaths) = unbounded();
    let spawner = Spawner::new(died);
    let (send, inbox) = mailbox(MAIL_MAX).map_err(Fault::refused("a mailbox"))?;
    let stop = send.clone();
    signal::listen(&spawner, move |signal| match signal {
        signal::Signal::Stop => stop.send(Mail::Stop).is_ok(),
        signal::Signal::Reload => true,
    })
    .map_err(Fault::refused("signal handlers"))?;
    handset::listen(&spawner, stdin(), send.clone()).map_err(Fault::refused("a thread"))?;
    let rng = clock::rng().map_err(Fault::refused("randomness"))?;
    // A closed pipe means that nobody listens any more: that is the end, and no fault.
    match handset::run(&spawner, rng, options, (send, inbox), &mut stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::refused("the phone's Bluetooth")(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
