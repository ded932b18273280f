// Copies that the staged tables make, and their account; the time that the stages take (V26).

import { describe, expect, it } from 'vitest';
import { genericStage, genericSwitch, type StageConfig } from '../../hw/switch/config.ts';
import { PacketLedger } from '../../src/report/ledger.ts';
import { Bench, frame } from './harness.ts';
import * as S from './switch-helper.ts';

const V4 = ['eth_type', 'ip_proto', 'src', 'dst', 'sport', 'dport'];
const MIRROR = 0;
const SAMPLE = 1;
const REPLICA = 2;

function setup(seed = 1): { b: Bench; side: S.SwitchSide; ledger: PacketLedger } {
  const b = new Bench({ ports: 3, stages: genericSwitch({ seed }) });
  const ledger = new PacketLedger();
  ledger.clock = b.scheduler;
  const { observer } = b.nic.ctx;
  const seen = { ...observer };
  observer.onEgress = (f) => {
    seen.onEgress(f);
    ledger.device.onEgress(f);
  };
  observer.onDrop = (id, port, reason, atPs) => {
    seen.onDrop(id, port, reason, atPs);
    ledger.device.onDrop(id, port, reason, atPs);
  };
  observer.onRx = (...args) => {
    seen.onRx(...args);
    ledger.device.onRx(...args);
    ledger.stack.onLocal(args[0], 'host');
  };
  observer.onCopy = (...args) => ledger.device.onCopy?.(...args) ?? -1;
  for (let port = 0; port < 3; port++) {
    b.start(port);
    b.rxQueue(port, 0, 256);
  }
  const side = new S.SwitchSide(b);
  side.table(0, { templates: [V4] });
  return { b, side, ledger };
}

function send({ b, ledger }: { b: Bench; ledger: PacketLedger }, payload = 40): void {
  const bytes = frame({ payload });
  b.nic.frameIn(0, b.scheduler.nowPs, bytes, 0, bytes.length, ledger.begin(1, bytes.length));
}

function settle({ b, ledger }: { b: Bench; ledger: PacketLedger }): void {
  b.scheduler.runFor(1e12);
  b.nic.sync(b.scheduler.nowPs);
  b.nic.checkInvariants();
  ledger.check();
  expect(ledger.pending).toBe(0);
}

describe('copies are frames of their own', () => {
  it('a mirror to a port whose link is down is dropped, the packet itself is not', () => {
    const rig = setup();
    rig.side.add(0, { matches: [], items: [S.MIRROR(2), S.MIRROR(1), S.OUTPUT(1)] });
    rig.b.nic.setLink(2, false);
    for (let n = 0; n < 5; n++) send(rig);
    settle(rig);
    const { copiesMade, copyFates, fatePackets } = rig.ledger;
    expect([...copiesMade]).toEqual([10, 0, 0]);
    // By fate: hardware, fast path, classic path, local, dropped.
    expect([...copyFates]).toEqual([5, 0, 0, 0, 5]);
    expect([...fatePackets]).toEqual([5, 0, 0, 0, 0]);
    expect(rig.b.nic.ctx.stats[0].copies).toBe(10);
  });

  it('samples one in N, by the seed, cut to size, with the group in the descriptor', () => {
    const counts = [1, 1, 2].map((seed) => {
      const rig = setup(seed);
      rig.side.add(0, { matches: [], items: [S.SAMPLE(8, 64, S.HOST, 42), S.DROP] });
      for (let n = 0; n < 800; n++) {
        send(rig, 400);
        if (n % 100 === 99) {
          settle(rig);
          rig.b.w(0, 0x1018, (rig.b.r(0, 0x1010) + 255) % 256);
        }
      }
      const [, made] = rig.ledger.copiesMade;
      expect(rig.ledger.copyFates[3]).toBe(made);
      expect(rig.ledger.fatePackets[4]).toBe(800);
      expect(rig.ledger.missPackets.reduce((sum, count) => sum + count)).toBe(0);
      return made;
    });
    expect(counts[0]).toBe(counts[1]);
    expect(counts[0]).not.toBe(counts[2]);
    // 800 draws of one in eight: 100, and within five standard deviations (9.4) of it.
    for (const made of counts) expect(Math.abs(made - 100)).toBeLessThan(47);
  });

  it('writes a sample to host memory as it says', () => {
    const rig = setup();
    rig.side.add(0, { matches: [], items: [S.SAMPLE(1, 64, S.HOST, 42), S.OUTPUT(1)] });
    const ring = rig.b.rxQueue(0, 0, 16).ring;
    send(rig, 400);
    settle(rig);
    const at = ring - 0x1000_0000;
    const view = rig.b.view();
    expect(view.getUint16(at + 12, true)).toBe(64);
    expect(view.getUint32(at + 4, true)).toBe(42);
    expect(view.getUint32(at + 8, true) & (1 << 18)).not.toBe(0);
    expect(rig.b.egress[0].bytes.length).toBe(frame({ payload: 400 }).length);
    expect([...rig.ledger.copiesMade]).toEqual([0, 1, 0]);
    expect([MIRROR, SAMPLE, REPLICA]).toEqual([0, 1, 2]);
  });

  it('a group of all sends the packet once and copies of it, none back if so set', () => {
    const rig = setup();
    rig.side.group(0, 0, [[S.OUTPUT(0)], [S.OUTPUT(1)], [S.OUTPUT(2)]], 1);
    rig.side.add(0, { matches: [], items: [S.GROUP(0)] });
    send(rig);
    settle(rig);
    expect(rig.b.egress.map((f) => f.port)).toEqual([1, 2]);
    expect([...rig.ledger.copiesMade]).toEqual([0, 0, 1]);
    expect(rig.ledger.fatePackets[0]).toBe(1);
  });

  it('a group that selects keeps a flow on its path, and uses all of them', () => {
    const rig = setup();
    rig.side.group(0, 1, [[S.OUTPUT(0)], [S.OUTPUT(1)], [S.OUTPUT(2)]]);
    rig.side.add(0, { matches: [], items: [S.GROUP(0)] });
    const portOf = (sport: number): number => {
      rig.b.egress.length = 0;
      const bytes = frame({ sport });
      rig.b.nic.frameIn(0, rig.b.scheduler.nowPs, bytes, 0, bytes.length, -1);
      return rig.b.egress[0].port;
    };
    const ports = Array.from({ length: 90 }, (_, n) => portOf(n));
    expect(ports.map((_, n) => portOf(n))).toEqual(ports);
    for (const port of [0, 1, 2])
      expect(ports.filter((one) => one === port).length).toBeGreaterThan(15);
  });
});

describe('time of the stages (V26)', () => {
  const CYCLE_PS = 1e6 / 1270;

  function pipe(stages: Partial<StageConfig>, kind: number, key: string): Bench {
    const b = new Bench({
      stages: genericSwitch({
        latency: 'pipe',
        stages: Array.from({ length: 12 }, () => genericStage(stages)),
      }),
    });
    b.start(0);
    const side = new S.SwitchSide(b);
    for (let id = 11; id >= 0; id--)
      expect(
        side.table(id, {
          stage: id,
          kind,
          templates: [[key]],
          writes: 1 << 17,
          next: id === 11 ? 0xffffffff : id + 1,
          items: id === 11 ? [S.OUTPUT(1)] : [],
        }).status,
      ).toBe(0);
    return b;
  }

  it.each([
    { what: 'match-dependent with TCAM', stages: {}, kind: 1, cycles: 268, ns: 211 },
    { what: 'match-dependent without', stages: {}, kind: 0, cycles: 244, ns: 192 },
    {
      what: 'concurrent',
      stages: { dependency: 'concurrent' as const },
      kind: 1,
      cycles: 16,
      ns: 12.6,
    },
  ])('12 stages, all $what: $cycles cycles', ({ stages, kind, cycles, ns }) => {
    const b = pipe(stages, kind, 'meta0');
    expect(b.nic.stages?.pipePs).toBeCloseTo(cycles * CYCLE_PS, 3);
    expect(Math.abs((b.nic.stages?.pipePs ?? 0) / 1000 - ns)).toBeLessThan(0.6);
    // What a packet takes beside both MACs, the line and the parser.
    const bytes = frame();
    b.nic.frameIn(0, 0, bytes, 0, bytes.length, 1);
    const { parserBaseCycles, parserHeaderCycles } = b.nic.config.pipeline;
    const parserPs = (parserBaseCycles + 2 * parserHeaderCycles) * CYCLE_PS;
    const { macLatencyPs } = b.nic.config;
    const wirePs = (8 + bytes.length + 4) * 800;
    const startPs = b.egress[0].startPs;
    const inPs = startPs - 2 * macLatencyPs - wirePs - parserPs;
    expect(inPs).toBeCloseTo(cycles * CYCLE_PS, -1);
  });

  it('tables that no earlier one writes for wait for nothing', () => {
    // The first table is match-dependent (22), the others match on what no table writes: 1 cycle each, and 4.
    const b = pipe({}, 1, 'dport');
    const features = b.nic.stages?.features() ?? [];
    expect(features.map((one) => one.dependency)).toEqual([
      'match',
      ...new Array<string>(11).fill('action'),
    ]);
    expect(b.nic.stages?.pipePs).toBeCloseTo((22 + 11 * 2 + 4) * CYCLE_PS, 3);
  });

  it('devices that chain look-ups pay for those that a packet has, and nothing while tables are empty', () => {
    const b = new Bench({ stages: genericSwitch() });
    b.start(0);
    b.start(1);
    const side = new S.SwitchSide(b);
    side.table(1, { stage: 1, templates: [V4], items: [S.OUTPUT(1)] });
    side.table(0, { templates: [V4] });
    const startOf = (dport: number): number => {
      b.egress.length = 0;
      b.scheduler.runFor(1e9);
      const bytes = frame({ dport });
      const nowPs = b.scheduler.nowPs;
      b.nic.frameIn(0, nowPs, bytes, 0, bytes.length, 1);
      return b.egress[0].startPs - nowPs;
    };
    side.add(0, { matches: [{ field: 'dport', value: 1 }], items: [S.GOTO(1)] });
    side.add(0, { priority: 2, matches: [{ field: 'dport', value: 2 }], items: [S.OUTPUT(1)] });
    expect(startOf(1) - startOf(2)).toBeCloseTo(22 * CYCLE_PS, -1);
  });
});
