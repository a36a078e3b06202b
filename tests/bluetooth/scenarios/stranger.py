"""A device that nobody let in wants a link, a voice link, a hands-free connection, or to pair, also while a call goes on: it gets
nothing, and harms nothing. Neither does a phone that may no longer connect by itself."""
import time

import dbus

from stage import check, play, until

REJECTED = 0x0D                                    # limited resources: how a kernel refuses for its user


def connectable():
    """As after `bluetoothctl discoverable on`: by default the kernel answers nobody but paired phones."""
    adapter = dbus.SystemBus().get_object('org.bluez', '/org/bluez/hci0')
    dbus.Interface(adapter, 'org.freedesktop.DBus.Properties').Set('org.bluez.Adapter1', 'Connectable', True)


def intrudes(stage, stranger, voice=False):
    """Everything that it can try. btvirt never tells the kernel that a voice link was refused, so that is tried only once."""
    stranger.do({'reach': True})
    if voice:
        stranger.do({'sco': 'cvsd'})
        refused = stranger.wait('sco', state='failed')
        check('how its voice link is refused', int(refused['error']), REJECTED)
    fault = stranger.attempt({'rfcomm': True}) or ''
    check('RFCOMM without pairing is refused (%s)' % fault, 'SECURITY_BLOCK' in fault, True)
    fault = stranger.attempt({'connect': True}) or ''
    check('pairing is refused (%s)' % fault, 'AUTHENTICATION_FAILURE' in fault or 'Cancelled' in fault, True)
    check('pairings', stranger.events('paired'), [])
    check('what is shown', [one['name'] for one in stage.service.client.phones()['phones']], ['Phone'])
    check('a question', stage.asks(), None)


def scenario(stage):
    client = stage.service.client
    phone = stage.paired_phone()
    client.disconnect_phone(phone.address)
    phone.wait('acl', state='closed')

    # By default.
    stranger = stage.phone('stranger', name='Stranger')
    fault = stranger.attempt({'reach': True}) or ''
    check('a link is refused (%s)' % fault, 'UNACCEPTABLE_BD_ADDR' in fault, True)

    connectable()
    for how in ({'io': 'display_yes_no', 'mitm': True, 'bonding': True},
                {'io': 'no_input_no_output', 'mitm': False, 'bonding': True},
                {'io': 'no_input_no_output', 'mitm': False, 'bonding': False}):
        stranger.do({'set': how})
        intrudes(stage, stranger)
        print('refused: %s' % how)
        stranger.do({'disconnect': 'acl'})
        time.sleep(0.5)

    # While a call goes on.
    client.connect_phone(phone.address)
    stage.connected(phone)
    call = stage.call_in(phone)
    stranger.do({'occupy': stage.phone('companion').address})
    intrudes(stage, stranger, voice=True)
    stage.exchange('beside a stranger', phone)
    check('how the call ended', stage.hangs_up(phone, call)['end_reason'], 'remote_hangup')
    phone.wait('sco', state='closed')
    check('links of the stranger', [stranger.events('rfcomm'), stranger.events('sco', state='open')], [[], []])

    # Paired, and may no longer connect by itself.
    client.trust_phone(phone.address, False)
    phone.do({'disconnect': 'rfcomm'})
    until('the phone is gone', lambda: stage.service.phone(phone.address)['link'] != 'connected')
    before = len(phone.events('slc'))
    fault = phone.attempt({'rfcomm': True})
    time.sleep(1)
    print('an untrusted phone: %s' % fault)
    check('connections', len(phone.events('slc')), before)


play(scenario)
