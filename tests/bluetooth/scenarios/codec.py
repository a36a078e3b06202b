"""codec.py noise|mute: mSBC does not work over this phone and adapter. The link is closed, CVSD is offered alone, and both
hear each other; so in the next call from its beginning, also after a restart of the service."""
import sys
import time

from stage import check, play, until

SPOILT = sys.argv[1]


def scenario(stage):
    phone = stage.paired_phone(spoil={'msbc': SPOILT}, keys='/tmp/phone.keys')
    started = time.monotonic()
    call = stage.call_in(phone)
    phone.wait('sco', state='open', codec='msbc')
    phone.wait('sco', state='open', codec='cvsd')
    check('links of mSBC that were closed', len(phone.events('sco', state='closed', codec='msbc')), 1)
    check('times CVSD was offered alone', len(phone.events('at', line='AT+BAC=1')), 1)
    print('by CVSD %.1f s after the ring' % (time.monotonic() - started))
    until('the phone is known to have no mSBC', lambda: stage.service.phone(phone.address)['cvsd_only'])
    stage.exchange('the same call', phone)
    ended = stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')
    check('codec in the end', ended['audio']['codec'], 'CVSD')
    check('voice links', ended['audio']['links'], 2)

    call = stage.call_in(phone)
    phone.wait('sco', state='open', codec='cvsd')
    stage.exchange('the next call', phone)
    check('codecs of the links', [one['codec'] for one in phone.events('sco', state='open')], ['msbc', 'cvsd', 'cvsd'])
    stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')

    stage.service.stop()
    phone.wait('rfcomm', state='closed')
    stage.service.start()
    stage.service.ready()
    stage.connected(phone)
    check('the hands-free unit\'s codecs after a restart', phone.wait('slc')['hf_codecs'], [1])
    call = stage.call_in(phone)
    stage.exchange('after a restart of the service', phone)
    stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')


play(scenario)
