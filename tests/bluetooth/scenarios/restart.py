"""bluetoothd is stopped, killed and started, idle and in the middle of calls: nothing hangs, sessions end as they should, and
the phone comes back without a hand."""
import signal
import time

from stage import check, play, until


def scenario(stage):
    phone = stage.paired_phone(keys='/tmp/phone.keys')
    client, bluetoothd = stage.service.client, stage.bluetoothd

    def is_down():
        return 'bluetoothd is not running' in (client.phones()['fault'] or '')

    def comes_back(how):
        bluetoothd.start()
        stage.comes_back(phone, how)

    # As `systemctl restart bluetooth` does it, at leisure: the radio is switched off.
    bluetoothd.kill()
    until('the fault is told', is_down)
    phone.wait('acl', state='closed')
    comes_back('stopped at leisure')
    call = stage.call_in(phone)
    stage.exchange('after a restart', phone)

    # It just is not there any more: sockets live in the kernel, and the call goes on.
    bluetoothd.kill(signal.SIGKILL)
    until('the fault is told', is_down)
    stage.exchange('while it is dead', phone)
    shown = stage.service.phone(phone.address)
    check('the phone meanwhile', [shown['name'], shown['paired'], shown['link']], ['Phone', True, 'connected'])
    comes_back('killed in a call')
    stage.exchange('with another one', phone)
    check('voice links', phone.links, 1)
    check('how the call ended', stage.hangs_up(phone, call)['end_reason'], 'remote_hangup')
    phone.wait('sco', state='closed')

    # What bluetoothd does not know of is connected again all the same.
    phone.do({'disconnect': 'rfcomm'})
    until('the phone is gone', lambda: stage.service.phone(phone.address)['link'] != 'connected')
    stage.connected(phone)

    # Stopped in a call and started: the links are gone, the call is found again.
    call = stage.call_in(phone)
    phone.wait('sco', state='open')
    bluetoothd.kill()
    phone.wait('acl', state='closed')
    comes_back('stopped in a call')
    phone.wait('sco', state='open')
    stage.exchange('found again', phone)
    check('the call', client.current_call()['id'], call)
    check('how the call ended', stage.hangs_up(phone, call)['end_reason'], 'remote_hangup')
    phone.wait('sco', state='closed')

    # Stopped in a call, and not started: the session ends; on the handset the call goes on.
    call = stage.call_in(phone)
    phone.wait('sco', state='open')
    bluetoothd.kill()
    started = time.monotonic()
    ended = stage.over(call, 30)
    print('given up %.1f s after bluetoothd ended' % (time.monotonic() - started))
    check('how the call ended', ended['end_reason'], 'phone_lost')
    check('calls on the phone', phone.events('call')[-1]['state'], 'active')
    comes_back('stopped in a call that was given up')
    check('no call', client.current_call(), None)
    phone.do({'hangup': 'all'})
    until('the phone is free', lambda: client.phones()['selected'] == phone.address)


play(scenario)
