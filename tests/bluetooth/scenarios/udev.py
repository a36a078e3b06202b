"""A real udev reads our rule: the helper for the way of voice is wanted for the adapter when it appears, and for the same adapter,
never for the connection, when a phone connects."""
import shutil
import subprocess

from stage import check, play, until

MONITOR = ['stdbuf', '-oL', 'udevadm', 'monitor', '--udev', '--property', '--subsystem-match=bluetooth']
UDEVD = '/usr/lib/systemd/systemd-udevd'
UNIT = 'callscoot-sco-routing@hci0.service'


def wanted(devtype):
    """What systemd would start of ours for each device of the type that was added."""
    with open('logs/udev.txt', encoding='utf-8') as file:
        events = [dict(line.split('=', 1) for line in event.splitlines() if '=' in line)
                  for event in file.read().split('\n\n')]
    added = [one for one in events if one.get('ACTION') == 'add' and one.get('DEVTYPE') == devtype]
    return [unit for one in added for unit in one.get('SYSTEMD_WANTS', '').split() if 'callscoot' in unit]


def scenario(stage):
    rules = '90-callscoot-bluetooth.rules'
    subprocess.run(['mkdir', '-p', '/run/udev/rules.d'], check=True)
    shutil.copy(rules, '/run/udev/rules.d')
    verified = subprocess.run(['udevadm', 'verify', '/run/udev/rules.d/' + rules], capture_output=True, text=True)
    check('udevadm verify', verified.returncode, 0)
    subprocess.run([UDEVD, '--daemon'], check=True)
    with open('logs/udev.txt', 'w', encoding='utf-8') as out:
        monitor = subprocess.Popen(MONITOR, stdout=out)
    until('udev listens', lambda: open('logs/udev.txt', encoding='utf-8').read())
    subprocess.run(['udevadm', 'trigger', '--action=add', '/sys/class/bluetooth/hci0'], check=True)
    until('the adapter is told', lambda: wanted('host'))
    check('for the adapter', wanted('host'), [UNIT])
    phone = stage.paired_phone()
    until('the connection is told', lambda: wanted('link'))
    links = wanted('link')
    print('%d connections: %s' % (len(links), links))
    check('for each connection', set(links), {UNIT})
    phone.do({'disconnect': 'acl'})
    monitor.kill()


play(scenario)
