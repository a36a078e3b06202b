"""The phone's radio on Bumble: ACL, pairing, RFCOMM, SCO. What is said over them is gateway.py's and audio.py's."""
import asyncio
import os
import time

from bumble import core, hci, hfp, rfcomm
from bumble.device import Device, DeviceConfiguration
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport

import audio

AG_FEATURES = {'three_way': 0, 'nrec': 1, 'voice_recognition': 2, 'in_band_ring': 3, 'voice_tag': 4, 'reject': 5,
               'enhanced_call_status': 6, 'enhanced_call_control': 7, 'extended_errors': 8, 'codec_negotiation': 9,
               'hf_indicators': 10, 'esco_s4': 11}
IO = {'display_only': PairingDelegate.DISPLAY_OUTPUT_ONLY, 'keyboard_only': PairingDelegate.KEYBOARD_INPUT_ONLY,
      'display_yes_no': PairingDelegate.DISPLAY_OUTPUT_AND_YES_NO_INPUT, 'no_input_no_output': PairingDelegate.NO_OUTPUT_NO_INPUT}
LATE_MAX_S = 0.02


class Person(PairingDelegate):
    """Who holds the phone while it pairs: says yes, or types what the script sets as `typed`."""

    def __init__(self, phone):
        super().__init__(IO[phone.config['io']])
        self.phone = phone

    async def compare_numbers(self, number, digits):
        self.phone.emit('pairing', shows='%0*d' % (digits, number))
        return True

    async def confirm(self, auto=False):
        self.phone.emit('pairing', confirms='by itself' if auto else 'the person')
        return True

    async def get_string(self, max_length):
        return await self.type()

    async def get_number(self):
        return int(await self.type())

    async def type(self):
        self.phone.emit('pairing', wants='a number')
        while not self.phone.config['typed']:
            await asyncio.sleep(0.1)
        return self.phone.config['typed']


class Sco:
    """One SCO link: paces what is said, records what is heard."""

    def __init__(self, phone, link, codec, by):
        self.phone, self.link, self.codec, self.by = phone, link, codec, by
        what = phone.config['play']
        self.talker = audio.Talker(codec, what.get(codec) if isinstance(what, dict) else what)
        self.listener = audio.Listener(codec)
        self.spoilt = phone.config['spoil'].get(codec)
        self.sent = self.late = 0
        self.speaks = False
        link.sink = lambda packet: self.listener.feed(packet.data)
        link.on('disconnection', lambda *_: self.closed())
        self.task = phone.spawn(self.talk())
        phone.emit('sco', state='open', codec=codec, by=by)

    async def talk(self):
        size = self.phone.config['packet_bytes']
        step, start = size / audio.AIR_BYTES_PER_S[self.codec], time.monotonic()
        while True:
            packet = os.urandom(size) if self.spoilt == 'noise' else self.talker.packet(size)
            if self.spoilt != 'mute':
                self.phone.device.host.send_sco_sdu(self.link.handle, packet)
            self.sent += 1
            if self.speaks and self.talker.is_over():
                self.speaks = False
                self.phone.emit('said')
            rest = start + self.sent * step - time.monotonic()
            self.late += rest < -step
            # Who got no processor for so long stood still: a burst of what is late would empty the other end's queue at once.
            start -= min(rest + LATE_MAX_S, 0)
            await asyncio.sleep(max(rest, 0))

    def say(self, what):
        self.talker.say(what)
        self.speaks = True

    def closed(self):
        self.task.cancel()
        self.phone.sco = None
        path = self.phone.config['record']
        if path:
            self.phone.recordings += 1
            if self.phone.recordings > 1:
                stem, suffix = os.path.splitext(path)
                path = '%s-%d%s' % (stem, self.phone.recordings, suffix)
            self.listener.save(path)
        self.phone.emit('sco', state='closed', codec=self.codec, by=self.by, sent=self.sent, sent_late=self.late,
                        record=path, **self.listener.stats)


class Radio:
    def __init__(self, config, emit):
        self.config, self.emit = config, emit
        self.failure, self.tasks = asyncio.get_running_loop().create_future(), set()
        self.device = self.acl = self.dlc = self.sco = None
        self.occupying = False
        self.recordings, self.want_audio, self.sco_by = 0, None, 'hf'
        self.forget_slc()

    def forget_slc(self):
        self.buffer, self.hf_features, self.hf_codecs, self.codec = b'', 0, {1}, 'cvsd'
        self.cmer = self.clip = self.ccwa = self.slc = self.cmee = False
        self.masked = set()

    # -- plumbing ------------------------------------------------------------------------------------------------------
    def spawn(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.finished)
        return task

    def finished(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() and not self.failure.done():
            self.failure.set_exception(task.exception())

    @property
    def features(self):
        names = set(self.config['features']) | ({'in_band_ring'} if self.config['in_band_ring'] else set())
        return sum(1 << AG_FEATURES[name] for name in names)

    def both(self, ag_feature, hf_bit):
        return bool(self.features >> AG_FEATURES[ag_feature] & self.hf_features >> hf_bit & 1)

    # -- links ---------------------------------------------------------------------------------------------------------
    async def power_on(self):
        transport = await open_transport(self.config['hci'])
        keys = self.config['keys'] and 'JsonKeyStore:' + self.config['keys']
        self.device = Device.from_config_with_hci(
            DeviceConfiguration(name=self.config['name'], classic_enabled=True, le_enabled=False, class_of_device=0x5A020C,
                                classic_ssp_enabled=self.config['ssp'], keystore=keys),
            transport.source, transport.sink)
        record = hfp.AgConfiguration(
            [feature for feature in hfp.AgFeature if feature & self.features],
            [hfp.AgIndicatorState.call()], [], [], [hfp.AudioCodec(audio.CODEC_ID[codec]) for codec in self.config['codecs']])
        channel = rfcomm.Server(self.device).listen(self.on_dlc, self.config['rfcomm_channel'])
        major, minor = self.config['version'].split('.')
        self.device.sdp_service_records = {
            0x10001: hfp.make_ag_sdp_records(0x10001, channel, record, hfp.ProfileVersion(int(major) << 8 | int(minor)))}
        self.device.pairing_config_factory = lambda _acl: PairingConfig(
            mitm=self.config['mitm'], bonding=self.config['bonding'], delegate=Person(self))
        self.device.on('connection', self.on_acl)
        self.device.on('sco_request', lambda acl, _type: self.spawn(self.answer_sco(acl)))
        self.device.on('sco_connection', self.on_sco)
        self.device.on('sco_connection_failure', lambda *error: self.emit('sco', state='failed', error=str(error[-1])))
        await self.device.power_on()
        self.emit('ready', address=str(self.device.public_address).split('/')[0])

    def on_acl(self, acl):
        if self.occupying:
            return
        self.acl = acl
        # btvirt keeps a peer's IO capability of its first pairing and from the second on does not tell it any more
        acl.pairing_peer_io_capability = hci.IoCapability.DISPLAY_YES_NO
        self.emit('acl', state='open')
        acl.on('disconnection', self.on_acl_lost)

    def on_acl_lost(self, reason):
        self.acl = None
        self.emit('acl', state='closed', reason=int(reason))

    async def occupy(self, address):
        """Connects to another phone, for nothing: btvirt passes packets on with the handle that they came with, so a second link
        of the HF's works only where it is the second of its phone, too."""
        self.occupying = True
        await asyncio.wait_for(self.device.connect(address, transport=core.PhysicalTransport.BR_EDR), 20)
        self.occupying = False

    async def reach(self):
        """The ACL link, without pairing."""
        if not self.acl:
            await asyncio.wait_for(self.device.connect(self.config['peer'], transport=core.PhysicalTransport.BR_EDR), 20)

    async def pair(self):
        await self.reach()
        await asyncio.wait_for(self.acl.authenticate(), 40)
        await asyncio.wait_for(self.acl.encrypt(), 10)
        self.emit('paired')

    async def open_rfcomm(self):
        """To the hands-free unit's channel, as its service record tells it."""
        found = await asyncio.wait_for(hfp.find_hf_sdp_record(self.acl), 10)
        if not found:
            raise RuntimeError('the peer has no HFP HF record')
        self.emit('sdp', channel=found[0], version=int(found[1]), features=int(found[2]))
        multiplexer = await asyncio.wait_for(rfcomm.Client(self.acl).start(), 20)
        self.on_dlc(await asyncio.wait_for(multiplexer.open_dlc(found[0]), 20))

    async def connect(self):
        if not self.config['pair'] and self.config['connect'] == 'hf':
            return
        await self.pair()
        if self.config['connect'] == 'phone':
            await self.open_rfcomm()

    def on_dlc(self, dlc):
        self.forget_slc()
        self.dlc, self.commands = dlc, asyncio.Queue()
        self.emit('rfcomm', state='open')
        reader = self.spawn(self.serve(self.commands))

        def closed():
            reader.cancel()
            self.dlc = None
            self.emit('rfcomm', state='closed')
        dlc.on('close', closed)
        dlc.sink = self.on_bytes

    async def drop(self, what):
        if what == 'rfcomm' and self.dlc:
            await self.dlc.disconnect()
        # btvirt, unlike a real controller, leaves SCO open when its ACL link goes, and the HF's kernel is then astray
        if what in ('sco', 'acl') and self.sco:
            await self.sco.link.disconnect()
        if what == 'acl' and self.acl:
            await self.acl.disconnect()

    # -- SCO -----------------------------------------------------------------------------------------------------------
    async def answer_sco(self, acl):
        if not self.config['accept_sco']:
            self.emit('sco', state='refused')
            await self.device.send_async_command(hci.HCI_Reject_Synchronous_Connection_Request_Command(
                bd_addr=acl.peer_address, reason=hci.HCI_CONNECTION_REJECTED_DUE_TO_LIMITED_RESOURCES_ERROR))
            return
        self.sco_by = 'hf'
        msbc = self.codec == 'msbc'
        await self.device.send_async_command(hci.HCI_Accept_Synchronous_Connection_Request_Command(
            bd_addr=acl.peer_address, transmit_bandwidth=8000, receive_bandwidth=8000, max_latency=13 if msbc else 0xFFFF,
            voice_setting=0x0003 if msbc else 0x0060, retransmission_effort=2 if msbc else 0xFF, packet_type=0x03C8))

    def on_sco(self, link):
        self.sco = Sco(self, link, self.codec, self.sco_by)

    async def connect_sco(self):
        if self.sco or not self.acl:
            return
        self.sco_by = 'phone'
        choice = hfp.DefaultCodecParameters.ESCO_MSBC_T2 if self.codec == 'msbc' else hfp.DefaultCodecParameters.ESCO_CVSD_S3
        await self.device.send_async_command(hci.HCI_Enhanced_Setup_Synchronous_Connection_Command(
            connection_handle=self.acl.handle, **hfp.ESCO_PARAMETERS[choice].asdict()))
