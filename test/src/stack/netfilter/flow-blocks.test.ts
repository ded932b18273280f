// Flowtables through TC_SETUP_FT (spec B.6, E.4: the numbers in the titles), against drivers whose answers the test sets, and a
// soak in which every call into the driver may fail or take its time.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EINTR, ENOENT, ENOSPC, EOPNOTSUPP, ETIMEDOUT } from '../../../../driver/errno.ts';
import {
  FLOW_CLS_DESTROY,
  FLOW_CLS_REPLACE,
  blockOffloadOf,
  flow_block_cb_setup_simple,
} from '../../../../driver/flow-block.ts';
import type { FlowBlockRequest } from '../../../../driver/flow-block.ts';
import { FLOW_ACTION_NAMES } from '../../../../driver/flow-rule.ts';
import type { NetDevice, NetDeviceOps } from '../../../../driver/netdev.ts';
import { offsimOps } from '../../../../driver/sim/offsim.ts';
import type { OffsimLog } from '../../../../driver/sim/offsim.ts';
import { PS_PER_MS } from '../../../../hw/time/units.ts';
import { NfStack, hex } from '../../../support/nf-stack.ts';
import { Random } from '../../../support/random.ts';

const FOLDER = new URL('../../../../fixtures/recordings/offload/', import.meta.url);
const RECORDED = JSON.parse(
  readFileSync(new URL('offsim-flowtable-plain.json', FOLDER), 'utf8'),
) as { steps: { name: string; in?: { frame: string } }[] };

/** A recorded frame, with another client port. */
function frame(name: string, port = 40000): Uint8Array {
  const bytes = hex(RECORDED.steps.find((step) => step.name === name)?.in?.frame ?? '');
  const view = new DataView(bytes.buffer);
  const client = view.getUint16(34) === 40000 || view.getUint16(34) === 5000 ? 34 : 36;
  view.setUint16(client, port);
  return bytes;
}

const rules = (flags: string): string => `table inet t {
  flowtable f { hook ingress priority 0; devices = { rc, rs }; ${flags} }
  chain c {
    type filter hook forward priority 0;
    meta l4proto { tcp, udp } flow add @f
  }
}
`;

const OFFLOAD = 'flags offload; counter;';

function router(ops: Partial<NetDeviceOps>, flags = OFFLOAD): NfStack {
  const stack = new NfStack(['rc', 'rs'], ops);
  stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
  stack.sysctl.set('net.netfilter.nf_conntrack_acct', '1');
  expect(stack.nf.nft.load(rules(flags))).toBe('');
  return stack;
}

function connect(stack: NfStack, port = 40000): void {
  stack.send(frame('syn', port), 0);
  stack.send(frame('syn-ack', port), 1);
  stack.send(frame('ack', port), 0);
}

/** A machine with offsim; `refuse` may answer for it. */
function offsim(refuse?: (request: FlowBlockRequest, dev: NetDevice) => number): {
  stack: NfStack;
  log: OffsimLog;
} {
  const log: OffsimLog = [];
  const clock = { nowPs: 0 };
  const ops = offsimOps({ scheduler: clock }, log, refuse);
  const stack = router(ops);
  Object.defineProperty(clock, 'nowPs', { get: () => stack.scheduler.nowPs });
  return { stack, log };
}

const calls = (log: OffsimLog, command: string): string[] =>
  log.map(({ line }) => line).filter((line) => line.includes(` ${command} `));
const flows = (stack: NfStack) => stack.nf.flowtables.list()[0];

describe('a driver that accepts', () => {
  it('61, 62: software carries the flow until the work has run; two rules with their own cookies', () => {
    const { stack, log } = offsim();
    connect(stack);
    expect(calls(log, 'REPLACE')).toEqual([]);
    expect(stack.connections()[0]).toContain('[OFFLOAD]');
    expect(stack.send(frame('data c'), 0).path).toBe('fast');
    stack.at(0.1);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    const cookies = calls(log, 'REPLACE').map((line) => /cookie=(\S+)/.exec(line)?.[1]);
    expect(cookies).toHaveLength(4);
    expect(new Set(cookies).size).toBe(2);
    expect(calls(log, 'REPLACE').every((line) => line.includes('tcp.flags=0/5'))).toBe(true);
    stack.send(frame('udp c', 5001), 0);
    stack.send(frame('udp c', 5001), 0);
    stack.at(0.2);
    const udp = calls(log, 'REPLACE').slice(4);
    expect(udp).toHaveLength(4);
    expect(udp.some((line) => line.includes('tcp.flags'))).toBe(false);
  });

  it('63: four MAC words and a redirect; with NAT address, port and checksum between', () => {
    const seen: string[][] = [];
    const note = (request: FlowBlockRequest): number => {
      if (request.rule !== null)
        seen.push(request.rule.actions.map(({ id }) => FLOW_ACTION_NAMES[id]));
      return 0;
    };
    const { stack } = offsim(note);
    connect(stack);
    stack.at(0.1);
    expect(seen[0]).toEqual(['mangle', 'mangle', 'mangle', 'mangle', 'redirect']);
    const mangles = new Array<string>(6).fill('mangle');
    const masquerading = offsim(note).stack;
    seen.length = 0;
    const nat =
      'table ip n {\nchain p {\ntype nat hook postrouting priority 100;\nsnat to 10.0.0.9\n}\n}\n';
    expect(masquerading.nf.nft.load(nat)).toBe('');
    masquerading.send(frame('udp c', 5001), 0);
    masquerading.send(frame('udp c', 5001), 0);
    masquerading.at(0.1);
    expect(seen[0]).toEqual([...mangles, 'csum', 'redirect']);
  });

  it('68: STATS keep a flow beyond its idle time, asked first 3 s after the last refresh', () => {
    const { stack, log } = offsim();
    connect(stack);
    stack.at(2.9);
    expect(calls(log, 'STATS')).toEqual([]);
    stack.at(100);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    expect(calls(log, 'DESTROY')).toEqual([]);
  });

  it('72: the counters that STATS give are added per direction', () => {
    const { stack, log } = offsim();
    connect(stack);
    stack.at(60);
    // Each STATS of a direction asks both devices: one packet of 100 bytes from each.
    const asked = calls(log, 'STATS').length / 2;
    expect(stack.connections()[0]).toContain(
      `packets=${2 + asked} bytes=${80 + 100 * asked} src=10.0.0.2`,
    );
    expect(stack.connections()[0]).toContain(`packets=${1 + asked} bytes=${40 + 100 * asked} `);
  });

  it('70: FIN reaches software, DESTROY for both cookies with the collection, freed after DEAD', () => {
    const { stack, log } = offsim();
    connect(stack);
    stack.at(0.1);
    stack.send(frame('fin c'), 0);
    expect(stack.connections()[0]).toMatch(/FIN_WAIT .*\[HW_OFFLOAD\]/);
    stack.at(1.5);
    expect(calls(log, 'DESTROY')).toHaveLength(4);
    expect(stack.connections()[0]).toMatch(/FIN_WAIT .*\[ASSURED\] mark=0 use=2$/);
    expect(flows(stack).liveCount).toBe(1);
    stack.at(2.5);
    expect(flows(stack).liveCount).toBe(0);
  });
});

describe('a driver that refuses', () => {
  it('64, 66: no room: software, no message, asked again once a second; moves when space frees up', () => {
    let room = false;
    const { stack, log } = offsim((request) =>
      request.command === FLOW_CLS_REPLACE && !room ? -ENOSPC : 0,
    );
    connect(stack);
    for (let i = 1; i <= 30; i++) {
      expect(stack.at(i * 0.1).send(frame('data c'), 0).path).toBe('fast');
    }
    const attempts = calls(log, 'REPLACE').length / 4;
    expect(attempts).toBeGreaterThanOrEqual(3);
    expect(attempts).toBeLessThanOrEqual(4);
    expect(stack.connections()[0]).toContain('[OFFLOAD]');
    expect(flows(stack).counters.hwRefusedBy).toEqual({ ENOSPC: attempts });
    room = true;
    stack.at(4.2).send(frame('data c'), 0);
    stack.at(4.3);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
  });

  it('65: one direction is enough for HW_OFFLOAD, and the other is known to be missing', () => {
    let first = -1;
    const { stack } = offsim((request) => {
      if (first < 0) first = request.cookie;
      return request.command === FLOW_CLS_REPLACE && request.cookie !== first ? -EOPNOTSUPP : 0;
    });
    connect(stack);
    stack.at(0.1);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    expect(flows(stack).flows[0]?.hwDirections).toBe(1);
    expect(flows(stack).counters.hwPartly).toBe(1);
  });

  it('69: STATS that never tell of use: out of hardware and software about 30 s after the last hit', () => {
    const { stack, log } = offsim((request) => (request.command === 2 ? -ENOENT : 0));
    connect(stack);
    stack.at(29.5);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    stack.at(33.5);
    expect(calls(log, 'DESTROY')).toHaveLength(4);
    expect(flows(stack).liveCount).toBe(0);
  });
});

describe('binding', () => {
  const load = (ops: Partial<NetDeviceOps>): string => {
    const stack = new NfStack(['rc', 'rs'], ops);
    return stack.nf.nft.load(rules(OFFLOAD));
  };

  it('67: without either hook, or with a driver that knows no TC_SETUP_FT, the flowtable is refused', () => {
    expect(load({})).toContain('Could not process rule: Operation not supported');
    expect(load({ ndo_setup_tc: () => -EOPNOTSUPP })).toContain('Operation not supported');
  });

  it('67: what the first devices bound is undone when a later one refuses, and so by -c', () => {
    const asked: string[] = [];
    const ops: Partial<NetDeviceOps> = {
      ndo_setup_tc(dev, type, data) {
        const offload = blockOffloadOf(type, data);
        asked.push(`${dev.name} ${offload?.command}`);
        return dev.name === 'rc' && offload?.command === 0 ? -ENOSPC : 0;
      },
    };
    expect(load(ops)).toContain('No space left on device');
    expect(asked).toEqual(['rs 0', 'rc 0', 'rs 1']);
    const { stack, log } = offsim();
    stack.nf.nft.run(['delete', 'table', 'inet', 't']);
    log.length = 0;
    stack.nf.nft.run(['-c', '-f', '-'], rules(OFFLOAD));
    expect(log.map(({ line }) => line)).toEqual([
      'rs flowtable command=0',
      'rc flowtable command=0',
      'rc flowtable command=1',
      'rs flowtable command=1',
    ]);
  });

  it('unbinds when the table is deleted: no DESTROY, conntrack has its flows back at once', () => {
    const { stack, log } = offsim();
    connect(stack);
    stack.at(0.1);
    log.length = 0;
    stack.nf.nft.run(['delete', 'table', 'inet', 't']);
    stack.at(0.2);
    expect(log.map(({ line }) => line)).toEqual([
      'rs flowtable command=1',
      'rc flowtable command=1',
    ]);
    expect(stack.connections()[0]).toMatch(/\[ASSURED\] mark=0 use=1$/);
    expect(stack.nf.flowtables.cookies().size).toBe(0);
  });
});

describe('the RFC form, by switch', () => {
  it('73, 74: asked once on the original device, never for STATS; flows in hardware do not age; teardown is DEL', () => {
    const asked: string[] = [];
    const ops: Partial<NetDeviceOps> = {
      ndo_flow_offload(dev, type, _flow, _extack, done) {
        asked.push(`${dev.name} ${['ADD', 'DEL', 'STATS'][type]}`);
        done(0);
      },
      ndo_setup_tc: () => -EOPNOTSUPP,
    };
    const stack = new NfStack(['rc', 'rs'], ops);
    stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
    stack.sysctl.set('net.netfilter.nf_flowtable_rfc_offload', '1');
    expect(stack.nf.nft.load(rules(OFFLOAD))).toBe('');
    connect(stack);
    stack.at(100);
    expect(asked).toEqual(['rc ADD']);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    stack.send(frame('fin c'), 0);
    stack.at(103);
    expect(asked).toEqual(['rc ADD', 'rc DEL']);
    connect(stack, 40001);
    for (const id of stack.nf.conntrack.liveIds()) stack.nf.conntrack.kill(id);
    stack.at(104);
    expect(asked).toEqual(['rc ADD', 'rc DEL']);
  });
});

describe('the admission of 2017 (nf_flowtable_rfc_offload)', () => {
  const rfcRouter = (): NfStack => {
    const stack = new NfStack(['rc', 'rs']);
    stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
    stack.sysctl.set('net.netfilter.nf_flowtable_rfc_offload', '1');
    expect(stack.nf.nft.load(rules(''))).toBe('');
    return stack;
  };

  it('E.32: TCP by the SYN-ACK', () => {
    const stack = rfcRouter();
    stack.send(frame('syn'), 0);
    expect(stack.nf.flowtables.list()[0].liveCount).toBe(0);
    stack.send(frame('syn-ack'), 1);
    expect(stack.nf.flowtables.list()[0].liveCount).toBe(1);
    expect(stack.send(frame('ack'), 0).path).toBe('fast');
    // A FIN ends it, and what follows does not make it anew.
    expect(stack.send(frame('fin c'), 0).path).toBe('classic');
    stack.at(3);
    expect(stack.nf.flowtables.list()[0].liveCount).toBe(0);
  });

  it('a flowtable keeps what it was made with', () => {
    const stack = rfcRouter();
    stack.sysctl.set('net.netfilter.nf_flowtable_rfc_offload', '0');
    stack.send(frame('syn'), 0);
    stack.send(frame('syn-ack'), 1);
    expect(stack.nf.flowtables.list()[0].liveCount).toBe(1);
  });
});

/** A driver with room for some entries, that answers late and fails now and then. */
class WaywardDriver {
  readonly entries = new Set<number>();
  failures = 0;
  calm = false;
  stack: NfStack | null = null;
  private readonly random: Random;
  private readonly capacity: number;

  constructor(random: Random, capacity: number) {
    this.random = random;
    this.capacity = capacity;
  }

  readonly ops: Partial<NetDeviceOps> = {
    ndo_setup_tc: (dev, type, data): number => {
      const offload = blockOffloadOf(type, data);
      if (offload === null) return -EOPNOTSUPP;
      const own = (request: FlowBlockRequest, done: (error: number) => void): void => {
        this.answer(dev, request, done);
      };
      const error = flow_block_cb_setup_simple(offload, dev, own, this, true);
      if (error === 0 && offload.command === 1) this.entries.clear();
      return error;
    },
  };

  private answer(dev: NetDevice, request: FlowBlockRequest, done: (error: number) => void): void {
    const scheduler = this.stack?.scheduler;
    const error = this.do(dev, request);
    if (scheduler === undefined || this.random.below(3) === 0) done(error);
    else
      scheduler.at(scheduler.nowPs + this.random.below(400) * PS_PER_MS, () => {
        done(error);
      });
  }

  private do(dev: NetDevice, request: FlowBlockRequest): number {
    const { command, cookie, rule } = request;
    const fails = !this.calm && this.random.below(4) === 0;
    if (fails) this.failures++;
    if (command === FLOW_CLS_DESTROY) {
      const had = this.entries.delete(cookie);
      return fails ? -EINTR : had ? 0 : -ENOENT;
    }
    if (command !== FLOW_CLS_REPLACE) return fails ? -ETIMEDOUT : 0;
    if (rule?.match.meta?.key.ingressIfindex !== dev.ifindex) return -EOPNOTSUPP;
    if (fails) return [-ENOSPC, -EOPNOTSUPP, -ETIMEDOUT, -EINTR][this.random.below(4)];
    if (!this.entries.has(cookie) && this.entries.size >= this.capacity) return -ENOSPC;
    this.entries.add(cookie);
    return 0;
  }
}

describe('soak: every call into the driver may fail', () => {
  it.each([1, 2, 3, 4, 5])('seed %i: beliefs are the tables, and nothing is left', (seed) => {
    const random = new Random(seed * 7919);
    const driver = new WaywardDriver(random, 60);
    const stack = router(driver.ops);
    driver.stack = stack;
    const steps = ['data c', 'data c', 'ack s', 'fin c', 'udp c', 'udp c'] as const;
    for (let i = 0; i < 1500; i++) {
      const port = 41000 + random.below(50);
      const what = random.below(20);
      stack.at(i * 0.05);
      if (what < 4) connect(stack, port);
      else if (what < 17) {
        const name = steps[random.below(steps.length)];
        stack.send(frame(name, port), name.endsWith(' s') ? 1 : 0);
      } else if (what === 17) {
        const ids = stack.nf.conntrack.liveIds();
        if (ids.length > 0) stack.nf.conntrack.kill(ids[random.below(ids.length)]);
      } else if (what === 18 && random.below(20) === 0)
        for (const one of stack.notifiers) one.netdevEvent(stack.devs[random.below(2)], 'down');
      expect(stack.nf.flowtables.checkInvariants()).toEqual([]);
    }
    expect(driver.failures).toBeGreaterThan(100);
    expect(flows(stack).counters.hwInstalled).toBeGreaterThan(100);
    // Quiet: work queues run empty, then what is believed of each flow is what the driver has.
    driver.calm = true;
    stack.at(78);
    for (const flow of flows(stack).flows)
      for (const direction of [0, 1])
        if (flow !== null && (flow.flags & 8) === 0)
          expect(driver.entries.has(flow.cookie + direction)).toBe(
            ((flow.hwDirections >> direction) & 1) === 1,
          );
    stack.at(300);
    expect(flows(stack).liveCount).toBe(0);
    expect(driver.entries.size).toBe(0);
    expect(flows(stack).tuples.count).toBe(0);
    expect(stack.nf.flowtables.cookies().size).toBe(0);
    expect(stack.connections().filter((line) => line.includes('OFFLOAD'))).toEqual([]);
  });
});
