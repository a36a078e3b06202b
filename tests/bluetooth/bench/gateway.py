"""The phone as an HFP audio gateway: AT commands, indicators, calls. HFP 1.8, 3GPP 27.007."""
import asyncio
import re

import audio
from radio import AG_FEATURES, Radio

INDICATOR_RANGE = {'service': '0,1', 'call': '0,1', 'callsetup': '0-3', 'callheld': '0-2', 'signal': '0-5', 'roam': '0,1',
                   'battchg': '0-5'}
ACTIVE, HELD, DIALING, ALERTING, INCOMING, WAITING = range(6)                # +CLCC <stat>
STATE = ['active', 'held', 'dialing', 'alerting', 'incoming', 'waiting']


class Call:
    def __init__(self, number, state, outgoing):
        self.number, self.state, self.outgoing, self.conference, self.id = number, state, outgoing, False, 0


class Gateway(Radio):
    def __init__(self, config, emit):
        super().__init__(config, emit)
        self.calls, self.indicators, self.last_dialed = [], dict(config['indicators']), ''

    # -- codec negotiation ---------------------------------------------------------------------------------------------
    async def open_audio(self):
        """Codec negotiation, then SCO: HFP 1.8 clause 4.11."""
        if self.sco:
            return
        if self.both('codec_negotiation', 7):
            best = 'msbc' if 'msbc' in self.config['codecs'] and 2 in self.hf_codecs else 'cvsd'
            self.want_audio = best
            self.send('+BCS: %d' % audio.CODEC_ID[best])         # SCO follows AT+BCS, see at_bcs
        else:
            await self.connect_sco()

    # -- AT ------------------------------------------------------------------------------------------------------------
    def send(self, *lines):
        for line in lines:
            if self.dlc:
                self.emit('sent', line=line)
                self.dlc.write('\r\n%s\r\n' % line)

    def on_bytes(self, data):
        self.buffer += data
        while b'\r' in self.buffer:
            line, self.buffer = self.buffer.split(b'\r', 1)
            if line.strip():
                self.commands.put_nowait(line.strip().decode(errors='replace'))

    async def serve(self, commands):
        while True:
            line = await commands.get()
            self.emit('at', line=line)
            rule = self.rule(line)
            if 'delay_ms' in rule:
                await asyncio.sleep(rule['delay_ms'] / 1000)
            self.send(*rule.get('before', ()))
            if 'drop' in rule:
                self.spawn(self.drop(rule['drop']))
                continue
            if 'reply' in rule:
                self.send(*([rule['reply']] if isinstance(rule['reply'], str) else rule['reply']))
            else:
                await self.answer(line)
            self.send(*rule.get('after', ()))
            self.check_slc(line)

    def rule(self, line):
        for name in sorted(self.config['at'], key=len, reverse=True):
            rule = self.config['at'][name]
            if line.startswith(name) and rule.get('times', 1) > 0:
                if 'times' in rule:
                    rule['times'] -= 1
                return rule
        return {}

    def check_slc(self, line):
        last = 'AT+BIND?' if self.both('hf_indicators', 8) else 'AT+CHLD=?' if self.both('three_way', 1) else 'AT+CMER='
        if not self.slc and line.startswith(last):
            self.slc = True
            self.emit('slc', hf_features=self.hf_features, hf_codecs=sorted(self.hf_codecs))

    async def answer(self, line):
        match = re.fullmatch(r'AT(\+[A-Z]+|D|A)?(=\?|\?|=)?(.*)', line, re.DOTALL)
        method = match and getattr(self, 'at_' + (match[1] or 'nothing').lstrip('+').lower(), None)
        if not method:
            self.send('ERROR')
            return
        try:
            replies = method(match[2] or '', match[3])
        except (ValueError, IndexError):
            replies = None
        if asyncio.iscoroutine(replies):                         # answers by itself, since more follows the OK
            await replies
        elif replies is None:
            self.send('+CME ERROR: 3' if self.cmee else 'ERROR')
        else:
            self.send(*replies, 'OK')

    # Each returns the lines before OK, or None for ERROR.
    def at_nothing(self, how, value):
        return [] if not how + value else None

    def at_brsf(self, how, value):
        self.hf_features = int(value)
        return ['+BRSF: %d' % self.features]

    def at_bac(self, how, value):
        self.hf_codecs = {int(codec) for codec in value.split(',')}
        if self.want_audio:                                      # the HF refuses the codec of +BCS and tells its own again
            return self.then(self.open_audio)
        return []

    def at_cind(self, how, value):
        if how == '=?':
            return ['+CIND: ' + ','.join('("%s",(%s))' % (name, INDICATOR_RANGE[name]) for name in self.indicators)]
        return ['+CIND: ' + ','.join(str(value) for value in self.indicators.values())]

    def at_cmer(self, how, value):
        self.cmer = value.replace(' ', '').endswith(',1')
        return []

    def at_chld(self, how, value):
        if how == '=?':
            return ['+CHLD: ' + self.config['chld']]
        return self.then(lambda: self.hold(value)) if re.fullmatch('[0-4]|[12][1-9]', value) else None

    def at_bind(self, how, value):
        if how == '=?':
            return ['+BIND: (1,2)']
        return ['+BIND: 1,1', '+BIND: 2,1'] if how == '?' else []

    def at_biev(self, how, value):
        indicator, level = value.split(',')
        self.emit('hf_indicator', id=int(indicator), value=int(level))
        return []

    def at_bia(self, how, value):
        self.masked = {name for name, on in zip(self.indicators, value.split(',')) if on.strip() == '0'}
        return []

    def at_clip(self, how, value):
        self.clip = value == '1'
        return []

    def at_ccwa(self, how, value):
        self.ccwa = value == '1'
        return []

    def at_cmee(self, how, value):
        self.cmee = value == '1'
        return []

    def at_clcc(self, how, value):
        return ['+CLCC: %d,%d,%d,0,%d,"%s",%d' % (call.id, not call.outgoing, call.state, call.conference, call.number,
                                                 145 if call.number.startswith('+') else 129) for call in self.calls]

    def at_cops(self, how, value):
        return ['+COPS: 0,0,"%s"' % self.config['operator']] if how == '?' else []

    def at_cnum(self, how, value):
        return ['+CNUM: ,"%s",%d,,4' % (number, 145 if number[0] == '+' else 129) for number in self.config['own_numbers']]

    def at_vts(self, how, value):
        if not re.fullmatch('[0-9A-D*#]', value):
            return None
        self.emit('dtmf', digit=value)
        return []

    def at_nrec(self, how, value):
        self.emit('nrec', value=int(value))
        return [] if self.features >> AG_FEATURES['nrec'] & 1 else None

    def at_vgs(self, how, value):
        self.emit('speaker_volume', value=int(value))
        return []

    def at_vgm(self, how, value):
        self.emit('microphone_volume', value=int(value))
        return []

    def at_bvra(self, how, value):
        self.emit('voice_recognition', value=int(value))
        return [] if self.features >> AG_FEATURES['voice_recognition'] & 1 else None

    def at_btrh(self, how, value):
        return []

    def at_xapl(self, how, value):
        return ['+XAPL=Bench,2']

    def at_iphoneaccev(self, how, value):
        self.emit('accessory', value=value)
        return []

    def at_bcs(self, how, value):
        codec = {number: name for name, number in audio.CODEC_ID.items()}.get(int(value))
        if codec is None or codec != self.want_audio:
            return None
        self.codec, self.want_audio = codec, None
        self.emit('codec', codec=codec)
        return self.then(self.connect_sco)

    def at_bcc(self, how, value):
        return self.then(self.open_audio)

    def at_a(self, how, value):
        return self.then(self.answer_call) if any(call.state == INCOMING for call in self.calls) else None

    def at_chup(self, how, value):
        for states in ((INCOMING,), (DIALING, ALERTING), (ACTIVE,), (HELD,)):
            ended = [call for call in self.calls if call.state in states]
            if ended:
                return self.then(lambda: self.end(ended, 'hf'))
        return None

    def at_d(self, how, value):
        return self.dial(value.rstrip(';')) if value.rstrip(';') else None

    def at_bldn(self, how, value):
        return self.dial(self.last_dialed) if self.last_dialed else None

    async def then(self, work):
        self.send('OK')
        result = work()
        if asyncio.iscoroutine(result):
            await result

    # -- calls ---------------------------------------------------------------------------------------------------------
    def changed(self, call, **fields):
        self.emit('call', id=call.id, state=STATE[call.state], number=call.number, **fields)

    def add(self, call):
        call.id = next(number for number in range(1, 8) if number not in {one.id for one in self.calls})
        self.calls.append(call)
        self.changed(call)
        self.update()

    def update(self):
        states = [call.state for call in self.calls]
        setup = 1 if INCOMING in states or WAITING in states else 2 if DIALING in states else 3 if ALERTING in states else 0
        self.indicate({'call': int(ACTIVE in states or HELD in states), 'callsetup': setup,
                       'callheld': 0 if HELD not in states else 1 if ACTIVE in states else 2})

    def indicate(self, values):
        for name, value in values.items():
            if name in self.indicators and self.indicators[name] != value:
                self.indicators[name] = value
                if self.cmer and (name not in self.masked or name.startswith('call')):
                    self.send('+CIEV: %d,%d' % (list(self.indicators).index(name) + 1, value))

    async def incoming(self, number):
        if self.calls:
            self.add(Call(number, WAITING, False))
            if self.ccwa:
                self.send('+CCWA: "%s",145' % number)
            return
        call = Call(number, INCOMING, False)
        self.add(call)
        if self.config['in_band_ring'] and self.config['audio'] == 'phone':
            await self.open_audio()
        self.spawn(self.ring(call))

    async def ring(self, call):
        while call in self.calls and call.state == INCOMING:
            self.send('RING')
            if self.clip and self.config['clip']:
                self.send('+CLIP: "%s",145' % call.number)
            await asyncio.sleep(self.config['ring_every_s'])

    async def answer_call(self):
        for call in self.calls:
            if call.state == INCOMING:
                call.state = ACTIVE
                self.changed(call)
        self.update()
        if self.config['audio'] == 'phone':
            await self.open_audio()

    async def dial(self, number):
        plan = self.config['dial']
        if plan and plan.get('result') == 'error':
            self.send('+CME ERROR: 30' if self.cmee else 'ERROR')
            return
        self.send('OK')
        self.last_dialed = number
        await self.hold('2') if self.calls else None
        call = Call(number, DIALING, True)
        self.add(call)
        if self.config['audio'] == 'phone':
            await self.open_audio()
        if plan:
            self.spawn(self.progress(call, plan))

    async def progress(self, call, plan):
        await asyncio.sleep(plan.get('alerting_ms', 300) / 1000)
        self.move(call, ALERTING)
        await asyncio.sleep(max(0, plan.get('active_ms', 1000) - plan.get('alerting_ms', 300)) / 1000)
        if plan.get('result', 'active') == 'busy':
            await self.end([call], 'busy')
        else:
            self.move(call, ACTIVE)

    def move(self, call, state):
        if call in self.calls:
            call.state = state
            self.changed(call)
            self.update()

    async def end(self, calls, by):
        for call in [call for call in calls if call in self.calls]:
            self.calls.remove(call)
            self.emit('call', id=call.id, state='ended', number=call.number, by=by)
        self.update()
        if not self.calls and self.sco:
            await self.drop('sco')

    async def hold(self, operation):
        """AT+CHLD, 3GPP 22.030 as HFP clause 4.22 uses it."""
        one = [call for call in self.calls if len(operation) == 2 and call.id == int(operation[1])]
        active = [call for call in self.calls if call.state == ACTIVE]
        other = [call for call in self.calls if call.state == WAITING] or [call for call in self.calls if call.state == HELD]
        if operation == '0':
            await self.end(other, 'hf')
        elif operation == '4':
            await self.end(list(self.calls), 'transfer')
        elif one and operation[0] == '1':
            await self.end(one, 'hf')
        elif operation == '3':
            for call in active + other:
                call.state, call.conference = ACTIVE, True
                self.changed(call)
        else:
            if operation == '1':
                await self.end(active, 'hf')
            for call in active if operation[0] == '2' else []:
                call.state = HELD
                self.changed(call)
            for call in one or other:
                call.state = ACTIVE
                self.changed(call)
        self.update()
