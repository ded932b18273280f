// Flowtables: admission, the software fast path's decisions, ends of flows, and the life of a flow in hardware with a driver
// that is scripted here. Expected values are those of the behaviours E.2 to E.4 and of the recordings, not of the code.

import { describe, expect, it } from 'vitest';
import { ENOSPC } from '../../../../driver/errno.ts';
import type { FlowOffload, FlowStats } from '../../../../driver/flow-offload.ts';
import type { NetDeviceOps } from '../../../../driver/netdev.ts';
import { NfStack, hex } from '../../../support/nf-stack.ts';

const ETH = '020000000201020000000102';
const V4 = `${ETH}0800`;

interface Options {
  ttl?: number;
  flags?: number;
  protocol?: number;
  payload?: number;
  reply?: boolean;
  id?: number;
  sport?: number;
}

/** A TCP or UDP frame between 192.168.1.2:SPORT and 10.0.0.2:80; checksums are left 0. */
function frame(options: Options): Uint8Array {
  const {
    ttl = 64,
    flags = 0x10,
    protocol = 6,
    payload = 0,
    reply = false,
    sport = 4000,
  } = options;
  const headerBytes = protocol === 6 ? 20 : 8;
  const bytes = new Uint8Array(14 + 20 + headerBytes + payload);
  bytes.set(hex(V4));
  const view = new DataView(bytes.buffer);
  bytes[14] = 0x45;
  view.setUint16(16, bytes.length - 14);
  bytes[22] = ttl;
  bytes[23] = protocol;
  bytes.set(reply ? [10, 0, 0, 2, 192, 168, 1, 2] : [192, 168, 1, 2, 10, 0, 0, 2], 26);
  view.setUint16(34, reply ? 80 : sport);
  view.setUint16(36, reply ? sport : 80);
  if (protocol === 6) {
    view.setUint32(38, 1000);
    view.setUint32(42, 1000);
    bytes[46] = 0x50;
    bytes[47] = flags;
    view.setUint16(48, 64000);
  } else view.setUint16(38, 8 + payload);
  return bytes;
}

const rules = (more = '', extra = ''): string => `table inet t {
  flowtable f { hook ingress priority 0; devices = { rc, rs }; ${more} }
  counter after { }
  chain forwarded {
    type filter hook forward priority 0; ${extra}
    meta l4proto { tcp, udp } flow add @f counter
    counter name after
  }
}
`;

function router(more = '', ops: Partial<NetDeviceOps> = {}, extra = ''): NfStack {
  const stack = new NfStack(['rc', 'rs'], ops);
  stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
  stack.sysctl.set('net.netfilter.nf_conntrack_acct', '1');
  expect(stack.nf.nft.load(rules(more, extra))).toBe('');
  return stack;
}

/** The handshake; the connection is offloaded by its last segment. */
function connect(stack: NfStack, sport = 4000): void {
  const syn = frame({ flags: 0x02, sport });
  const synAck = frame({ flags: 0x12, reply: true, sport });
  const ack = frame({ flags: 0x10, sport });
  // Sequence numbers: SYNs one before the data.
  new DataView(syn.buffer).setUint32(38, 999);
  new DataView(synAck.buffer).setUint32(38, 999);
  stack.send(syn, 0);
  stack.send(synAck, 1);
  expect(stack.send(ack, 0).path).toBe('classic');
}

const flowtable = (stack: NfStack) => stack.nf.flowtables.list()[0];

describe('admission', () => {
  it('adds TCP by the final ACK, and shows neither timeout nor state', () => {
    const stack = router();
    connect(stack);
    expect(flowtable(stack).liveCount).toBe(1);
    expect(stack.connections()).toEqual([
      'ipv4     2 tcp      6 src=192.168.1.2 dst=10.0.0.2 sport=4000 dport=80 packets=2 bytes=80 ' +
        'src=10.0.0.2 dst=192.168.1.2 sport=80 dport=4000 packets=1 bytes=40 [OFFLOAD] mark=0 use=2',
    ]);
    expect(stack.send(frame({}), 0).path).toBe('fast');
    expect(stack.send(frame({ reply: true }), 1).path).toBe('fast');
  });

  it('adds UDP by the second packet; it stays UNREPLIED', () => {
    const stack = router();
    expect(stack.send(frame({ protocol: 17 }), 0).path).toBe('classic');
    expect(flowtable(stack).liveCount).toBe(0);
    expect(stack.send(frame({ protocol: 17 }), 0).path).toBe('classic');
    expect(stack.send(frame({ protocol: 17, reply: true }), 1).path).toBe('fast');
    expect(stack.connections()[0]).toContain('[UNREPLIED]');
  });

  it('counts refusals by name and only breaks the rule', () => {
    const stack = router();
    stack.send(frame({ flags: 0x02 }), 0);
    expect(flowtable(stack).counters.refusedAdmission['tcp-not-established']).toBe(1);
    const listing = stack.nf.nft.run(['list', 'ruleset']).stdout;
    expect(listing).toContain('flow add @f counter packets 0 bytes 0');
    expect(listing).toContain('counter after {\n\t\tpackets 1 bytes 40');
  });

  it('leaves no OFFLOAD mark without a way back', () => {
    const stack = router();
    stack.hasReturnRoute = false;
    connect(stack);
    expect(flowtable(stack).liveCount).toBe(0);
    expect(flowtable(stack).counters.refusedAdmission['no-return-route']).toBe(1);
    expect(stack.connections()[0]).toContain('[ASSURED]');
  });
});

describe('software fast path', () => {
  it('lets odd packets go without ending the flow', () => {
    const stack = router();
    connect(stack);
    expect(stack.send(frame({ ttl: 1 }), 0).path).toBe('classic');
    const fragment = frame({});
    fragment[20] = 0x20;
    expect(stack.send(fragment, 0).path).toBe('classic');
    const long = frame({ payload: 1500, flags: 0x11 });
    expect(stack.send(long, 0).path).toBe('classic');
    expect(flowtable(stack).liveCount).toBe(1);
    expect(stack.send(frame({}), 1).path).toBe('classic'); // another interface
    expect(stack.send(frame({}), 0).path).toBe('fast');
  });

  it('decrements the TTL, keeps padding, and keeps a wrong checksum as wrong as it was', () => {
    const stack = router();
    connect(stack);
    const padded = new Uint8Array(60);
    padded.set(frame({}));
    const { bytes } = stack.send(padded, 0);
    expect(bytes.length).toBe(46);
    expect(bytes[8]).toBe(63);
    expect((bytes[10] << 8) | bytes[11]).toBe(0x0100);
  });

  it('ends with FIN: classic from then on, freed by the next collection', () => {
    const stack = router();
    connect(stack);
    expect(stack.send(frame({ flags: 0x11 }), 0).path).toBe('classic');
    expect(stack.connections()[0]).toMatch(/ 120 FIN_WAIT .* use=2$/);
    expect(stack.send(frame({ reply: true }), 1).path).toBe('classic');
    stack.at(1.5);
    expect(flowtable(stack).liveCount).toBe(0);
    expect(stack.connections()[0]).toMatch(/ 58 CLOSE_WAIT .* use=1$/);
    expect(flowtable(stack).counters.removedBy['fin-rst']).toBe(1);
  });

  it('ages after the idle time; conntrack keeps what it alone would have', () => {
    const stack = router();
    stack.sysctl.set('net.netfilter.nf_flowtable_tcp_timeout', '4');
    connect(stack);
    stack.at(3.5);
    expect(stack.connections()[0]).toContain('[OFFLOAD]');
    stack.at(5.5);
    expect(stack.connections()[0]).toMatch(/ 43199[45] ESTABLISHED .* \[ASSURED\] mark=0 use=1$/);
  });

  it('E.53, E.54: a UDP flow goes after nf_flowtable_udp_timeout without packets, and not before', () => {
    const stack = router();
    stack.sysctl.set('net.netfilter.nf_flowtable_udp_timeout', '5');
    const udp = frame({ protocol: 17 });
    stack.send(udp, 0);
    stack.send(frame({ protocol: 17, reply: true }), 1);
    for (let second = 1; second <= 20; second++) {
      stack.at(second);
      expect(stack.send(udp, 0).path).toBe('fast');
    }
    stack.at(24.9);
    expect(stack.connections()[0]).toContain('[OFFLOAD]');
    stack.at(26.1); // 5 s, and at most a second until the collector comes
    expect(flowtable(stack).liveCount).toBe(0);
    expect(flowtable(stack).counters.removedBy.idle).toBe(1);
    // Teardown leaves at most 120 s (replied) less the flow's 5 (B.4): 115 s from somewhere between 25 and 26.1 s.
    const left = Number(/udp {6}17 (\d+) /.exec(stack.connections()[0])?.[1]);
    expect(left).toBeGreaterThanOrEqual(113);
    expect(left).toBeLessThanOrEqual(115);
    expect(stack.send(udp, 0).path).toBe('classic');
  });

  it('ends when conntrack deletes the connection, routes change, or a device goes down', () => {
    const stack = router();
    connect(stack);
    stack.nf.conntrack.kill(stack.nf.conntrack.liveIds()[0]);
    expect(stack.connections()).toEqual([]);
    expect(stack.send(frame({}), 0).path).toBe('classic');
    connect(stack, 4001);
    stack.fib.genId++;
    expect(stack.send(frame({ sport: 4001 }), 0).path).toBe('classic'); // and offloaded again in the same pass
    expect(stack.send(frame({ sport: 4001 }), 0).path).toBe('fast');
    for (const n of stack.notifiers) n.netdevEvent(stack.devs[1], 'down');
    expect(flowtable(stack).liveCount).toBe(0);
    const { removedBy } = flowtable(stack).counters;
    expect([removedBy['ct-gone'], removedBy.route, removedBy['device-down']]).toEqual([1, 1, 1]);
    expect(stack.nf.flowtables.checkInvariants()).toEqual([]);
  });

  it('counts into conntrack only with the counter flag', () => {
    for (const [more, packets] of [
      ['', 2],
      ['counter;', 12],
    ] as const) {
      const stack = router(more);
      connect(stack);
      for (let i = 0; i < 10; i++) stack.send(frame({ payload: 960 }), 0);
      expect(stack.connections()[0]).toContain(
        `packets=${packets} bytes=${more === '' ? 80 : 10080} src=10.0.0.2`,
      );
    }
  });

  it('gives connections back when its table is deleted', () => {
    const stack = router();
    connect(stack);
    expect(stack.nf.nft.run(['delete', 'table', 'inet', 't']).stderr).toBe('');
    expect(stack.connections()[0]).toContain('[ASSURED]');
    expect(stack.send(frame({}), 0).path).toBe('classic');
  });
});

/** A driver whose answers the test sets. */
class ScriptedDriver {
  answer = 0;
  directions = 3;
  asked: string[] = [];
  stats: FlowStats = { packets: [0, 0], bytes: [0, 0], lastUsedPs: 0 };
  flow: FlowOffload | null = null;
  readonly ops: Partial<NetDeviceOps> = {
    ndo_flow_offload: (_dev, type, flow, _extack, done, stats) => {
      this.asked.push(['ADD', 'DEL', 'STATS'][type]);
      this.flow = flow;
      if (type === 0 && this.answer === 0) flow.inHardware = this.directions;
      if (type === 2 && stats !== undefined) Object.assign(stats, this.stats);
      done(type === 0 ? this.answer : 0);
    },
  };
}

const OFFLOAD = 'flags offload; counter;';

/** A driver that answers when the test says so. */
class SlowDriver {
  readonly asked: string[] = [];
  /** Answers the request that waits longest. */
  readonly waiting: (() => void)[] = [];
  readonly ops: Partial<NetDeviceOps> = {
    ndo_flow_offload: (_dev, type, flow, _extack, done) => {
      this.asked.push(['ADD', 'DEL', 'STATS'][type]);
      this.waiting.push(() => {
        if (type === 0) flow.inHardware = 3;
        done(0);
      });
    },
  };
}

describe('one request at a time for a flow (E.71)', () => {
  /** What would each ask for something, with the ADD still at the driver. */
  const wants: Record<string, (stack: ReturnType<typeof router>) => void> = {
    'packets that refresh it': (stack) => {
      for (let t = 1; t <= 8; t++) {
        stack.at(t);
        expect(stack.send(frame({}), 0).path).toBe('fast');
      }
    },
    'collections that want STATS': (stack) => {
      stack.at(20);
    },
    'a FIN that wants it deleted': (stack) => {
      stack.send(frame({ flags: 0x11 }), 0);
      stack.at(5);
    },
    'a deleted connection': (stack) => {
      for (const id of stack.nf.conntrack.liveIds()) stack.nf.conntrack.kill(id);
      stack.at(5);
    },
  };
  it.each(Object.keys(wants))('ADD under way: %s', (name) => {
    const driver = new SlowDriver();
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    stack.at(0.1);
    expect(driver.asked).toEqual(['ADD']);
    wants[name](stack);
    expect(driver.asked).toEqual(['ADD']);
    // Answered at last: what is wanted now comes, again one by one.
    driver.waiting.shift()?.();
    for (let t = 21; t < 60 && driver.asked.length < 3; t++) {
      stack.at(t);
      expect(driver.waiting.length).toBeLessThanOrEqual(1);
      driver.waiting.shift()?.();
    }
    expect(driver.asked.length).toBeGreaterThan(1);
    expect(stack.nf.flowtables.checkInvariants()).toEqual([]);
  });
});

describe('hardware', () => {
  it('asks with both directions from the work queue; the software path carries the flow until then', () => {
    const driver = new ScriptedDriver();
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    expect(driver.asked).toEqual([]);
    expect(stack.connections()[0]).toContain('[OFFLOAD]');
    expect(stack.send(frame({}), 0).path).toBe('fast');
    stack.at(0.1);
    expect(driver.asked).toEqual(['ADD']);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    const [original, reply] = driver.flow?.directions ?? [];
    expect(original).toMatchObject({
      family: 4,
      l4proto: 6,
      sport: 4000,
      dport: 80,
      vlanId: -1,
      pushVlanId: -1,
      mtuBytes: 1500,
      newSrc: null,
      newDst: null,
    });
    expect([...(original?.src ?? [])]).toEqual([192, 168, 1, 2]);
    expect([...(original?.ethSrc ?? [])]).toEqual([2, 0, 0, 0, 3, 1]);
    expect([...(original?.ethDst ?? [])]).toEqual([2, 0, 0, 0, 3, 2]);
    expect(original?.outDev.name).toBe('rs');
    expect(reply?.outDev.name).toBe('rc');
    expect(original?.cookie).not.toBe(reply?.cookie);
    expect(flowtable(stack).counters.timeToHardware.count).toBe(1);
  });

  it('stays in software when the driver refuses, and asks again at most once a second', () => {
    const driver = new ScriptedDriver();
    driver.answer = -ENOSPC;
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    for (let i = 1; i <= 30; i++) stack.at(i * 0.1).send(frame({}), 0);
    const adds = driver.asked.filter((a) => a === 'ADD').length;
    expect(adds).toBeGreaterThanOrEqual(3);
    expect(adds).toBeLessThanOrEqual(4);
    expect(stack.connections()[0]).toContain('[OFFLOAD]');
    expect(flowtable(stack).counters.hwRefusedBy).toEqual({ ENOSPC: adds });
    driver.answer = 0;
    stack.at(4.5).send(frame({}), 0);
    stack.at(4.6);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
  });

  it('does not ask without a valid neighbour', () => {
    const driver = new ScriptedDriver();
    const stack = router(OFFLOAD, driver.ops);
    stack.neighboursValid = false;
    connect(stack);
    stack.at(0.1);
    expect(driver.asked).toEqual([]);
    expect(flowtable(stack).counters.hwNoNeighbour).toBe(1);
  });

  it('one direction is enough for HW_OFFLOAD', () => {
    const driver = new ScriptedDriver();
    driver.directions = 1;
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    stack.at(0.1);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    expect(flowtable(stack).counters.hwPartly).toBe(1);
  });

  it('lives by the use that STATS report, first asked after 3 s, and counts what they count', () => {
    const driver = new ScriptedDriver();
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    stack.at(2.9);
    expect(driver.asked).toEqual(['ADD']);
    for (let second = 4; second < 60; second++) {
      driver.stats = { packets: [0, 1], bytes: [0, 100], lastUsedPs: stack.scheduler.nowPs };
      stack.at(second);
    }
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    const asked = driver.asked.filter((a) => a === 'STATS').length;
    expect(stack.connections()[0]).toContain(
      `packets=${1 + asked} bytes=${40 + 100 * asked} [HW_OFFLOAD]`,
    );
  });

  it('is removed about 30 s after the last use when STATS never tell of any', () => {
    const driver = new ScriptedDriver();
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    stack.at(29.5);
    expect(stack.connections()[0]).toContain('[HW_OFFLOAD]');
    stack.at(33.5);
    expect(driver.asked.at(-1)).toBe('DEL');
    expect(stack.connections()[0]).toContain('[ASSURED]');
    expect(flowtable(stack).liveCount).toBe(0);
    expect(flowtable(stack).counters.hwRemovedBy.idle).toBe(1);
  });

  it('FIN: state moves at once, DEL with the collection, freed only after it', () => {
    const driver = new ScriptedDriver();
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    stack.at(0.1);
    stack.send(frame({ flags: 0x11 }), 0);
    expect(stack.connections()[0]).toMatch(/ FIN_WAIT .*\[HW_OFFLOAD\] mark=0 use=2$/);
    stack.at(1.5);
    expect(driver.asked.at(-1)).toBe('DEL');
    expect(stack.connections()[0]).toMatch(/ FIN_WAIT .*\[ASSURED\] mark=0 use=2$/);
    stack.at(2.5);
    expect(stack.connections()[0]).toMatch(/\[ASSURED\] mark=0 use=1$/);
    expect(stack.nf.flowtables.checkInvariants()).toEqual([]);
  });

  it('asks nothing for a connection that dies before the work runs', () => {
    const driver = new ScriptedDriver();
    const stack = router(OFFLOAD, driver.ops);
    connect(stack);
    stack.nf.conntrack.kill(stack.nf.conntrack.liveIds()[0]);
    stack.at(0.1);
    expect(driver.asked).toEqual([]);
  });
});
