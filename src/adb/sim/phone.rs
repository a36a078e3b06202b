//! A simulated Android: its calls, and what its shell answers.

use crate::adb::registry::CallState;
use crate::base::Number;

/// What `am start` says before anything has begun.
const STARTING: &str = "Starting: Intent { act=android.intent.action.CALL dat=tel:xxxxxxxxxx }\n";

/// Which shape its dumps have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Android {
    /// Only `mCallState` and `mCallIncomingNumber`; the telephone program knows more.
    Oldest,
    /// The states of calls once, after all SIMs.
    Eight,
    /// Everything per SIM.
    #[default]
    Fourteen,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    state: CallState,
    number: String,
}

/// What kind of phone it is.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Which shape its dumps have.
    pub android: Android,
    /// What `settings get secure bluetooth_address` answers.
    pub bluetooth_address: Option<String>,
    /// Keys do nothing.
    pub ignores_keys: bool,
    /// It takes the number, and begins later, or never.
    pub dials_late: bool,
    /// The telephone program may not be started.
    pub refuses_to_dial: bool,
    /// The shell may not see calls.
    pub hides_calls: bool,
}

/// A phone.
#[derive(Clone, Debug, Default)]
pub struct Phone {
    /// What kind it is.
    pub model: Model,
    calls: Vec<Call>,
    said: Vec<String>,
}

impl From<Model> for Phone {
    fn from(model: Model) -> Self {
        Self { model, ..Self::default() }
    }
}

impl Phone {
    /// Somebody calls; beside another call it is waiting.
    pub fn called_by(&mut self, number: &str) {
        let state = if self.calls.is_empty() { CallState::Incoming } else { CallState::Waiting };
        self.calls.push(Call { state, number: number.to_owned() });
    }

    /// The first call stands otherwise from now on; idle: it is over.
    pub fn turns(&mut self, state: CallState) {
        match self.calls.first_mut() {
            Some(_) if state == CallState::Idle => {
                self.calls.remove(0);
            }
            Some(call) => call.state = state,
            None => self.calls.push(Call { state, number: String::new() }),
        }
    }

    /// Every call is over.
    pub fn hangs_up(&mut self) {
        self.calls.clear();
    }

    /// It has these calls, and no others.
    pub fn has_calls<'n>(&mut self, calls: impl Iterator<Item = (CallState, &'n str)>) {
        self.calls = calls.map(|(state, number)| Call { state, number: number.to_owned() }).collect();
    }

    /// How each call stands, and its number.
    pub fn calls(&self) -> impl Iterator<Item = (CallState, &str)> {
        self.calls.iter().map(|call| (call.state, call.number.as_str()))
    }

    /// How the first call stands, and its number.
    pub fn call(&self) -> Option<(CallState, &str)> {
        self.calls.first().map(|call| (call.state, call.number.as_str()))
    }

    /// Every command its shell was given, in order.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// What its shell answers.
    pub fn shell(&mut self, command: &str) -> String {
        self.said.push(command.to_owned());
        let dialled = command.strip_prefix("am start -a android.intent.action.CALL -d tel:");
        match (command, dialled) {
            ("dumpsys telephony.registry" | "dumpsys telecom", _) if self.model.hides_calls => {
                format!("Permission Denial: can't dump {command} from pid=1, uid=2000\n")
            }
            ("dumpsys telephony.registry", _) => self.registry(),
            ("dumpsys telecom", _) => self.telecom(),
            ("settings get secure bluetooth_address", _) => {
                format!("{}\n", self.model.bluetooth_address.as_deref().unwrap_or("null"))
            }
            ("input keyevent 5" | "input keyevent 6", _) if self.model.ignores_keys => String::new(),
            ("input keyevent 5", _) => self.answer_key(),
            ("input keyevent 6", _) => self.end_key(),
            (_, Some(_)) if self.model.refuses_to_dial => {
                "java.lang.SecurityException: Permission Denial: starting Intent { }\n".into()
            }
            (_, Some(_)) if self.model.dials_late => STARTING.into(),
            (_, Some(number)) => self.dial(number),
            _ if command.starts_with("getprop ") => "\n".into(),
            _ => format!("/system/bin/sh: {}: not found\n", command.split(' ').next().unwrap_or_default()),
        }
    }

    fn answer_key(&mut self) -> String {
        if let Some(call) = self.calls.last_mut() {
            // In a call it holds it: whoever presses without a look does harm.
            call.state = match call.state {
                CallState::Incoming | CallState::Waiting | CallState::Held => CallState::Active,
                CallState::Active => CallState::Held,
                other @ (CallState::Idle | CallState::Dialing | CallState::Alerting | CallState::OffHook) => {
                    other
                }
            };
        }
        String::new()
    }

    fn end_key(&mut self) -> String {
        self.calls.pop();
        String::new()
    }

    fn dial(&mut self, number: &str) -> String {
        let number = percent_encoding::percent_decode_str(number).decode_utf8_lossy();
        if Number::parse(&number).is_ok() {
            self.calls.push(Call { state: CallState::Dialing, number: number.into_owned() });
        }
        STARTING.into()
    }

    /// `PreciseCallState` of the first call in one of these states.
    fn precise(&self, states: &[CallState]) -> i32 {
        let state = self.calls.iter().map(|call| call.state).find(|state| states.contains(state));
        match state {
            Some(CallState::Active) => 1,
            Some(CallState::Held) => 2,
            Some(CallState::Dialing) => 3,
            Some(CallState::Alerting) => 4,
            Some(CallState::Incoming) => 5,
            Some(CallState::Waiting) => 6,
            Some(CallState::Idle | CallState::OffHook) | None => 0,
        }
    }

    fn registry(&self) -> String {
        let rings = [CallState::Incoming, CallState::Waiting];
        let ringing = self.calls.iter().find(|call| rings.contains(&call.state));
        let state = if ringing.is_some() { 1 } else { 2 * i32::from(!self.calls.is_empty()) };
        let number = ringing.map_or("", |call| call.number.as_str());
        let basic = format!("mCallState={state}\n    mCallIncomingNumber={number}\n");
        let precise = format!(
            "mRingingCallState={}\n    mForegroundCallState={}\n    mBackgroundCallState={}\n",
            self.precise(&rings),
            self.precise(&[CallState::Active, CallState::Dialing, CallState::Alerting]),
            self.precise(&[CallState::Held]),
        );
        let before = "last known state:\n  Phone Id=0\n    ";
        match self.model.android {
            Android::Oldest => format!("last known state:\n  {basic}registrations: count=3\n"),
            Android::Eight => {
                let second = "  Phone Id=1\n    mCallState=0\n    mCallIncomingNumber=\n";
                format!(
                    "{before}{basic}    mServiceState=0 0 home\n{second}  {precise}registrations: count=40\n"
                )
            }
            Android::Fourteen => {
                let second =
                    "  Phone Id=1\n    mCallState=0\n    mRingingCallState=0\n    mForegroundCallState=0\n";
                format!("{before}{basic}    {precise}{second}local logs:\nregistrations: count=90\n")
            }
        }
    }

    fn telecom(&self) -> String {
        let word = |state| match state {
            CallState::Active => "ACTIVE",
            CallState::Held => "ON_HOLD",
            CallState::Incoming | CallState::Waiting => "RINGING",
            CallState::Dialing | CallState::Alerting => "DIALING",
            CallState::Idle | CallState::OffHook => "NEW",
        };
        let call = |(id, call): (usize, &Call)| {
            format!("    [TC@{id}, {}, com.android.phone/x, tel:***, A]\n", word(call.state))
        };
        let calls = (1..).zip(&self.calls).map(call).collect::<Vec<_>>().concat();
        format!("CallsManager: \n  mCalls: \n{calls}  mForegroundCall: none\n")
    }
}
