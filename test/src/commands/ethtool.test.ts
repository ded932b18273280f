// ethtool against recordings of the real tool: same text, same exit status, on devices that answer as those of the recordings did.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EINVAL, ENOSPC, EOPNOTSUPP } from '../../../driver/errno.ts';
import type {
  EthtoolChannels,
  EthtoolCoalesce,
  EthtoolOps,
  EthtoolRxFh,
  EthtoolRxFlowSpec,
  RxFhChange,
} from '../../../driver/ethtool.ts';
import * as E from '../../../driver/ethtool.ts';
import { Kernel } from '../../../driver/kernel.ts';
import { NetDevice } from '../../../driver/netdev.ts';
import { HostMemory } from '../../../hw/dma/host-memory.ts';
import { Scheduler } from '../../../hw/time/scheduler.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { runCommand } from '../../../src/scenario/commands/table.ts';
import type { NetStack } from '../../../src/stack/net-stack.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { frame } from '../../hw/harness.ts';

interface Exchange {
  words: string[];
  stdout: string;
  stderr: string;
  status: number;
}

function recording(name: string): Exchange[] {
  const url = new URL(`../../../fixtures/recordings/ethtool/${name}`, import.meta.url);
  const exchanges: Exchange[] = [];
  for (const line of readFileSync(url, 'utf8').split('\n')) {
    if (line.startsWith('$ ethtool')) {
      const words = line.slice('$ ethtool'.length).split(' ').filter(Boolean);
      exchanges.push({ words, stdout: '', stderr: '', status: -1 });
      continue;
    }
    const last = exchanges[exchanges.length - 1];
    const rc = /^\[rc ([0-9]+)\]$/.exec(line);
    if (last === undefined || last.status >= 0) continue;
    if (rc !== null) last.status = Number(rc[1]);
    else if (line.startsWith('! ')) last.stderr += `${line.slice(2)}\n`;
    else last.stdout += `${line}\n`;
  }
  return exchanges;
}

const NO_OPS = { ndo_open: () => 0, ndo_stop: () => 0, ndo_start_xmit: () => 0 };

/** The device of rss-and-ntuple.txt. */
function shimOps(): EthtoolOps {
  const rules = new Map<number, EthtoolRxFlowSpec>();
  const fresh = (): EthtoolRxFh => ({
    indir: Uint8Array.from({ length: 128 }, (_, i) => i % 8),
    key: Uint8Array.from({ length: 40 }, (_, i) => i + 1),
    hfunc: E.ETH_RSS_HASH_TOP,
    symmetricXor: false,
  });
  const contexts: (EthtoolRxFh | null)[] = [fresh(), null, null, null];
  const set = (context: EthtoolRxFh, change: RxFhChange): number => {
    if (change.hfunc === E.ETH_RSS_HASH_CRC32) return -EOPNOTSUPP;
    if (change.indir === 'reset') context.indir.set(fresh().indir);
    else if (change.indir !== undefined) context.indir.set(change.indir);
    if (change.key !== undefined) context.key.set(change.key);
    context.hfunc = change.hfunc ?? context.hfunc;
    return 0;
  };
  return {
    rxnfc: {
      choosesLocation: false,
      rings: () => 8,
      locations: () => [...rules.keys()].sort((a, b) => a - b),
      tableSize: () => 2046,
      rule: (_dev, location) => rules.get(location) ?? null,
      insert(_dev, spec) {
        if (spec.location >= 2046 || (!spec.cookie.drop && spec.cookie.ring >= 8)) return -EINVAL;
        rules.set(spec.location, spec);
        return spec.location;
      },
      remove: (_dev, location) => (rules.delete(location) ? 0 : -EINVAL),
      flowHash: (_dev, type) => (type === E.TCP_V4_FLOW ? 0xf0 : 0x30),
      setFlowHash: () => -EINVAL,
    },
    rxfh: {
      indirSize: () => 128,
      keySize: () => 40,
      get: (_dev, context) => contexts[context] ?? null,
      set: (_dev, context, change) => set(contexts[context] ?? fresh(), change),
      create(_dev, change) {
        const id = contexts.indexOf(null);
        if (id < 0) return -ENOSPC;
        const context = fresh();
        contexts[id] = context;
        set(context, change);
        return id;
      },
      remove(_dev, context) {
        contexts[context] = null;
        return 0;
      },
    },
  };
}

/** lo, p0 (above), vt0 (channels of a veth), tp0 (coalescing of a tap). */
function kernelWithDevices(): Kernel {
  const kernel = new Kernel({ scheduler: new Scheduler(), memory: new HostMemory(1 << 20) });
  const add = (name: string, ops: EthtoolOps | null, carrier = false): void => {
    const dev = new NetDevice(name, NO_OPS);
    dev.carrier = carrier;
    dev.ethtoolOps = ops;
    kernel.register_netdev(dev);
  };
  const counts = { max_other: 0, max_combined: 0, other_count: 0, combined_count: 0 };
  let channels: EthtoolChannels = { max_rx: 4, max_tx: 4, rx_count: 4, tx_count: 4, ...counts };
  let coalesce: EthtoolCoalesce = { 'rx-frames': 0 };
  add('lo', null);
  add('p0', shimOps());
  add(
    'vt0',
    {
      get_link_speed: () => 10_000,
      link_port: 'tp',
      get_channels: () => channels,
      set_channels(_dev, wished) {
        channels = wished;
        return 0;
      },
    },
    true,
  );
  add('tp0', {
    get_drvinfo: () => ({
      driver: 'tun',
      version: '1.6',
      fw_version: '',
      expansion_rom_version: '',
      bus_info: 'tap',
    }),
    get_link_speed: () => 10_000,
    link_port: 'tp',
    get_msglevel: () => 0,
    supported_coalesce_params: ['rx-frames'],
    get_coalesce: () => coalesce,
    set_coalesce(_dev, wished) {
      coalesce = wished;
      return 0;
    },
  });
  return kernel;
}

describe.each(['netlink.txt', 'settings.txt', 'rss-and-ntuple.txt'])(
  'ethtool 6.1 recorded: %s',
  (name) => {
    const kernel = kernelWithDevices();
    // A rule of the recording names context 1, which its kernel took without checking.
    const p0 = kernel.dev_get_by_name('p0');
    it.each(recording(name).map((one) => [one.words.join(' ').slice(0, 70), one] as const))(
      'ethtool %s',
      (_title, { words, stdout, stderr, status }) => {
        const needsContext = words.includes('flow-type') && words.includes('context');
        if (needsContext && p0 !== null)
          p0.ethtoolOps?.rxfh?.create?.(p0, {}, { message: '', reason: '' });
        // No stack: the tool only asks it for devices.
        const links = { byName: (dev: string) => kernel.dev_get_by_name(dev) };
        const stack = { links } as unknown as NetStack;
        const result = runCommand(['ethtool', ...words], { kernel, stack, readText: () => null });
        expect(result).toEqual({ stdout, stderr, status });
      },
    );
  },
);

/** One machine with 8 queues a port; runs a command and gives its text, errors marked. */
function machine(): { bed: Testbed; run: (line: string) => string } {
  const bed = new Testbed({ cores: 8 });
  const run = (line: string): string =>
    tokenize(line)
      .map((words) => {
        const { stdout, stderr, status } = bed.runWords(words);
        return `${stdout}${stderr}${status === 0 ? '' : `[${status}]`}`;
      })
      .join('');
  return { bed, run };
}

describe('ethtool on the reference driver', () => {
  it('lists channels, coalescing and features in the recorded form', () => {
    const { run } = machine();
    expect(run('ethtool -l p0')).toBe(
      'Channel parameters for p0:\nPre-set maximums:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t8\n' +
        'Current hardware settings:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t8\n',
    );
    expect(run('ethtool -C p0 rx-usecs 20; ethtool -c p0')).toContain(
      'Adaptive RX: off  TX: n/a\nstats-block-usecs: n/a',
    );
    expect(run('ethtool -c p0')).toContain('\nrx-usecs: 20\nrx-frames: n/a\n');
    expect(run('ethtool -C p0 rx-usecs 5000')).toContain('netlink error: Invalid argument\n[1]');
    expect(run('ethtool -C p0 rx-frames 5')).toBe(
      'netlink error: cannot modify an unsupported parameter (offset 32)\nnetlink error: Invalid argument\n[1]',
    );
    const features = run('ethtool -k p0');
    // The same lines, in the same order, as a recording of Linux 6.1 has them.
    const recorded = readFileSync(
      new URL('../../../fixtures/recordings/ethtool/features.txt', import.meta.url),
      'utf8',
    );
    const names = (text: string): string[] => text.split('\n').map((line) => line.split(':')[0]);
    expect(names(features)).toEqual(names(recorded).map((name) => name.replace('sim0', 'p0')));
    expect(features).toContain('ntuple-filters: off\nreceive-hashing: on\n');
    expect(features).toContain(
      'tcp-segmentation-offload: off\n\ttx-tcp-segmentation: off [fixed]\n',
    );
    expect(JSON.parse(run('ethtool --json -k p0'))).toMatchObject([
      { ifname: 'p0', 'ntuple-filters': { active: false, fixed: false, requested: false } },
    ]);
    expect(run('ethtool -K p0 ntuple on; ethtool -k p0')).toContain('ntuple-filters: on\n');
    expect(run('ethtool -K p0 tso on')).toMatch(
      /^Actual changes:\ntx-tcp-segmentation: off \[requested on\]\n/,
    );
  });

  it('refuses channels that a table or a rule still needs', () => {
    const { run } = machine();
    expect(run('ethtool -X p0 equal 4; ethtool -L p0 combined 2')).toBe(
      'netlink error: requested channel counts are too low for existing indirection table (3)\n' +
        'netlink error: Invalid argument\n[1]',
    );
    expect(run('ethtool -l p0')).toContain('Combined:\t8\n');
    expect(run('ethtool -X p0 default; ethtool -L p0 combined 2; ethtool -x p0')).toContain(
      '    0:      0     1     0     1     0     1     0     1\n',
    );
    run('ethtool -L p0 combined 8; ethtool -K p0 ntuple on');
    expect(run('ethtool -N p0 flow-type tcp4 dst-port 80 action 3 loc 5')).toBe('');
    expect(run('ethtool -L p0 combined 2')).toContain(
      'too low for existing ntuple filter settings',
    );
    expect(run('ethtool -N p0 delete 5; ethtool -L p0 combined 2')).toBe('');
    expect(run('ethtool -L p0 combined 9')).toContain(
      'requested channel count exceeds maximum (offset 32)',
    );
    expect(run('ethtool -X p0 equal 3')).toBe(
      'Cannot set RX flow hash configuration: Invalid argument\n[1]',
    );
    expect(run('ethtool -G p0 rx 5000')).toBe(
      'netlink error: requested ring size exceeds maximum (offset 32)\nnetlink error: Invalid argument\n[81]',
    );
  });

  it('has the address of its EEPROM, whatever address it has now', () => {
    const { run } = machine();
    expect(run('ethtool -P p1')).toBe('Permanent address: 02:66:74:00:00:01\n');
    expect(run('ip link set p1 address 02:00:00:00:00:07; ethtool -P p1')).toBe(
      'Permanent address: 02:66:74:00:00:01\n',
    );
  });

  it('does not know what a context hashes, and prints no raw dump', () => {
    const { run } = machine();
    expect(run('ethtool -n p0 rx-flow-hash udp4 context 1')).toBe(
      'Cannot get RX network flow hashing options: Invalid argument\n[1]',
    );
    expect(run('ethtool -N p0 rx-flow-hash udp4 sdfn context 1')).toBe(
      'Cannot change RX network flow hashing options: Invalid argument\n',
    );
    expect(run('ethtool -n p0 rx-flow-hash udp4')).not.toContain('L4 bytes');
    expect(run('ethtool -N p0 rx-flow-hash udp4 r')).toContain('Invalid argument');
    expect(run('ethtool -d p0 hex on')).toMatch(/not modelled.*\n\[1\]$/);
    const names = (text: string): string[] => text.match(/^0x.{40}/gm) ?? [];
    expect(names(run('ethtool -d p0 hex off raw off'))).toEqual(names(run('ethtool -d p0')));
  });

  it('takes the ports of ip4 as the L4 bytes that they are', () => {
    const { bed, run } = machine();
    run('ethtool -K p0 ntuple on');
    bed.advance(1e12);
    const add = (words: string): string => run(`ethtool -N p0 flow-type ip4 ${words} action 5`);
    expect(add('dst-port 80')).toBe('rmgr: Cannot insert RX class rule: Invalid argument\n');
    expect(add('l4proto 6 src-port 0 m 0xffff dst-port 80')).toBe('Added rule with ID 2045\n');
    expect(run('ethtool -n p0')).toContain('\tL4 bytes: 0x50 mask: 0xffff0000\n');
    bed.advance(1e12);
    const queues: number[] = [];
    bed.onHostReceive = (skb) => queues.push(skb.rxQueue - 1);
    for (let i = 0; i < 8; i++) {
      bed.inject(0, bed.nowPs, frame({ proto: 6, dst: bed.devices[0].mac, sport: i, dport: 80 }));
      bed.advance(1e9);
    }
    expect(queues).toEqual(new Array(8).fill(5));
  });

  it('keeps ntuple rules as ixgbe does: errors, one mask, replacement, limits', () => {
    const { run } = machine();
    const add = (words: string): string => run(`ethtool -N p0 flow-type ${words}`);
    const refused = (error: string): string => `rmgr: Cannot insert RX class rule: ${error}\n`;
    expect(add('tcp4 dst-port 80 action 1')).toBe(refused('Operation not supported'));
    run('ethtool -K p0 ntuple on');
    expect(add('tcp4 dst-port 80 action 1')).toBe('Added rule with ID 2045\n');
    expect(add('tcp4 dst-port 80 action 8')).toBe(refused('Invalid argument')); // ring = rings
    expect(add('tcp4 dst-port 80 action 1 loc 2046')).toBe(refused('Invalid argument'));
    expect(add('tcp4 dst-port 80 vf 1 queue 0')).toBe(refused('Invalid argument'));
    expect(add('tcp4 src-port 80 action 1')).toBe(refused('Invalid argument')); // another mask
    expect(add('tcp6 dst-port 80 action 1')).toBe(refused('Invalid argument'));
    expect(add('ether proto 0x88f7 action 1')).toBe(refused('Invalid argument'));
    expect(add('tcp4 dst-port 80 tos 4 action 1')).toBe(refused('Invalid argument'));
    expect(add('tcp4 dst-port 81 action -1 loc 2045')).toBe('');
    expect(run('ethtool -n p0')).toContain('Total 1 rules\n\nFilter: 2045\n');
    expect(run('ethtool -n p0')).toContain('Dest port: 81 mask: 0x0\n\tAction: Drop\n');
    expect(run('ethtool -n p0 rule 1')).toContain(
      'rxclass: Cannot get RX class rule: Invalid argument',
    );
    // The only rule may bring another mask.
    expect(add('udp4 src-ip 10.0.0.0 m 0.0.0.255 action 2 loc 2045')).toBe('');
    expect(run('ethtool -N p0 delete 2045; ethtool -n p0')).toBe(
      '8 RX rings available\nTotal 0 rules\n\n',
    );
    expect(run('ethtool -X p0 context new equal 2')).toBe('New RSS context is 1\n');
    expect(add('tcp4 dst-port 80 context 1')).toBe('Added rule with ID 2045\n');
    expect(add('tcp4 dst-port 81 context 1 action 1')).toBe(refused('Invalid argument'));
    expect(add('tcp4 dst-port 81 context 2')).toBe(refused('Invalid argument'));
    expect(run('ethtool -N p0 rx-flow-hash udp4 sdfn; ethtool -n p0 rx-flow-hash udp4')).toContain(
      'L4 bytes 0 & 1',
    );
    expect(run('ethtool -N p0 rx-flow-hash tcp4 sd')).toContain('Invalid argument');
    expect(run('ethtool -X p0 xfrm symmetric-xor; ethtool -x p0')).toContain(
      'RSS input transformation:\n    symmetric-xor: on\n',
    );
  });

  it('a full table answers ENOSPC through the tool', () => {
    const { bed, run } = machine();
    run('ethtool -K p0 ntuple on');
    const dev = bed.devices[0];
    const field = (value: number): { value: number[]; mask: number[] } => ({
      value: [value],
      mask: [0xffff],
    });
    for (let location = 0; location < 2046; location++) {
      const spec: EthtoolRxFlowSpec = {
        flow_type: E.TCP_V4_FLOW,
        fields: { dst_port: field(location) },
        cookie: { drop: false, ring: 1, vf: 0 },
        location,
        rss_context: -1,
      };
      const error = dev.ethtoolOps?.rxnfc?.insert(dev, spec, { message: '', reason: '' });
      expect(error).toBe(location);
    }
    expect(run('ethtool -N p0 flow-type tcp4 dst-port 9999 action 1')).toBe(
      'rmgr: Cannot find appropriate slot to insert rule\nCannot insert classification rule\n[1]',
    );
    expect(run('ethtool -S p0')).toContain('fdir_overflow: 0\n');
  });
});
