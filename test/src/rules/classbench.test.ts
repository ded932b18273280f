// ClassBench files: rules and traces read as the generators write them, malformed ones by line and column; the fixture sets
// answered by the classifier as a scan with BigInt answers; keys of frames.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FiveTupleClassifier } from '../../../hw/table/classifier/five-tuple.ts';
import { ClassbenchReader, FiveTupleList, readClassbench } from '../../../src/rules/classbench.ts';
import { tellClassbench } from '../../../src/rules/classbench-print.ts';
import { TraceReader } from '../../../src/rules/classbench-trace.ts';
import { readRules } from '../../../src/rules/dialects.ts';
import { fiveTupleOf } from '../../../src/rules/five-tuple.ts';
import { keyOfFrame } from '../../../src/rules/frame-key.ts';
import { logicalLines } from '../../../src/rules/scan.ts';
import { LinearClassifier } from '../../reference/linear-classifier.ts';
import type { OracleField } from '../../reference/linear-classifier.ts';

const RULES = new URL('../../../fixtures/rules/', import.meta.url);
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const LINE = '@1.2.3.4/32\t10.0.0.0/8\t0 : 65535\t80 : 90\t0x06/0xFF\t0x1000/0x1000\t\n';

function listOf(text: string): FiveTupleList {
  const list = new FiveTupleList();
  readClassbench(bytesOf(text), 'f', list);
  return list;
}

/** Splits lines as the format's description says, with nothing of the reader in it. */
function oracleOf(text: string): LinearClassifier {
  const oracle = new LinearClassifier();
  const lines = text.split('\n').filter((line) => line !== '');
  const prefix = (word: string): OracleField => {
    const [address, length] = word.replace('@', '').split('/');
    const value = address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
    const size = 1n << (32n - BigInt(length));
    return { low: (value / size) * size, high: (value / size) * size + size - 1n };
  };
  const range = (word: string): OracleField => {
    const [low, high] = word.split(':').map((part) => BigInt(part.trim()));
    return { low, high };
  };
  lines.forEach((line, id) => {
    const [src, dst, sport, dport, protocol] = line.split('\t');
    const [value, mask] = protocol.split('/').map(BigInt);
    const fields = [prefix(src), prefix(dst), range(sport), range(dport), { value, mask }];
    oracle.insert({ id, priority: id, fields });
  });
  return oracle;
}

describe('ClassBench sets', () => {
  for (const name of ['acl1_1000', 'fw1_1000', 'ipc1_1000'])
    it(`${name}: the classifier answers its trace as a scan`, () => {
      const text = readFileSync(new URL(`${name}.rules`, RULES), 'utf8');
      const trace = gunzipSync(readFileSync(new URL(`${name}.trace.gz`, RULES))).toString();
      const list = listOf(text);
      const oracle = oracleOf(text);
      expect(list.count).toBe(oracle.rules.size);
      const loaded = new FiveTupleClassifier();
      list.loadInto(loaded);
      const grown = new FiveTupleClassifier();
      for (let i = list.count - 1; i >= 0; i--) grown.insert(i, i, list.rule(i));
      const reader = new TraceReader('trace');
      const lines = trace.trim().split('\n');
      expect(reader.feed(bytesOf(trace))).toBe(lines.length);
      const { keys } = reader;
      for (let i = 0; i < lines.length; i += 60) {
        const wanted = oracle.lookup(lines[i].split('\t').slice(0, 5).map(BigInt));
        const key = [...keys.subarray(4 * i, 4 * i + 4)] as [number, number, number, number];
        expect([i, loaded.lookup(...key)]).toEqual([i, wanted]);
        expect([i, grown.lookup(...key)]).toEqual([i, wanted]);
      }
    });

  it('reads numbers in either base, comments, blank lines and lines without flags', () => {
    const list = listOf(
      `# comment\r\n\r\n${LINE}@0.0.0.0/0 0.0.0.0/0 1:2 0 : 0 17/255\n  @255.255.255.255/31\t1.1.1.1/32\t0 : 0\t0 : 0\t0/0`,
    );
    expect(list.count).toBe(3);
    expect([0, 1, 2].map((index) => list.lineOf(index))).toEqual([3, 4, 5]);
    expect(list.rule(0)).toEqual({
      src: 0x01020304,
      srcMask: -1,
      dst: 0x0a000000,
      dstMask: 0xff000000 | 0,
      srcPortLow: 0,
      srcPortHigh: 65535,
      dstPortLow: 80,
      dstPortHigh: 90,
      protocol: 6,
      protocolMask: 255,
    });
    expect(list.rule(1)).toMatchObject({ srcMask: 0, srcPortLow: 1, srcPortHigh: 2, protocol: 17 });
    expect(list.rule(2)).toMatchObject({ src: -2, srcMask: -2, protocolMask: 0 });
  });

  for (const [what, from, to, message] of [
    ['no @', '@1', '1', "f:2:1: expected '@', found '1.2.3.4/32'"],
    ['byte', '1.2.3.4', '1.2.256.4', 'f:2:6: expected a byte of the source address from 0 to 255'],
    ['short', '1.2.3.4', '1.2.3', "f:2:7: expected '.', found '/32'"],
    ['length', '/8', '/33', 'f:2:22: expected a destination prefix length from 0 to 32'],
    ['port', '65535', '65536', 'f:2:28: expected a source port from 0 to 65535'],
    ['order', '80 : 90', '80 : 79', "f:2:39: expected a destination port from 80 on, found '79'"],
    ['colon', '80 :', '80 -', "f:2:37: expected ':', found '-'"],
    ['protocol', '0x06', '0x100', 'f:2:42: expected a protocol from 0 to 255'],
    ['mask', '/0xFF', '', "f:2:46: expected '/', found the end of the line"],
    ['word', '\t\n', '\tx\n', "f:2:66: expected the end of the line, found 'x'"],
    ['end', '\t10.0.0.0/8', '\n', 'f:2:12: expected a blank and the destination prefix'],
  ])
    it(`names the place of a malformed line: ${what}`, () => {
      const list = new FiveTupleList();
      const text = LINE + LINE.replace(from, to);
      expect(() => readClassbench(bytesOf(text), 'f', list)).toThrow(message);
      // What is before it stays.
      expect(list.count).toBe(1);
      expect(list.rule(0).dstPortHigh).toBe(90);
      // The dialect reader says the same of it.
      expect(readRules(text, 'f', 'classbench').error?.message).toContain(message);
    });

  it('becomes neutral rules and lines again', () => {
    for (const name of ['acl1_1000', 'fw1_1000', 'ipc1_1000']) {
      const text = readFileSync(new URL(`${name}.rules`, RULES), 'utf8');
      const list = listOf(text);
      const reader = new ClassbenchReader(name);
      let index = 0;
      for (const line of logicalLines(text)) {
        const rule = reader.read(line);
        expect(rule.priority).toBe(index);
        expect(fiveTupleOf(rule)).toEqual(list.rule(index++));
        const told = tellClassbench(rule);
        expect(told.refusals).toEqual([]);
        const columns = line.text.split('\t').slice(0, 5).join('\t');
        expect(told.text).toBe(`${columns}\t0x0000/0x0000`);
      }
      expect(index).toBe(list.count);
    }
  });

  it('places the fields of a neutral rule', () => {
    for (const line of logicalLines(`\n  ${LINE}`)) {
      const places = new ClassbenchReader('f')
        .read(line)
        .matches.map((match) => [match.field, match.at.line, match.at.column]);
      expect(places).toEqual([
        ['eth_type', 2, 4],
        ['ip_proto', 2, 44],
        ['ipv4_src', 2, 4],
        ['ipv4_dst', 2, 15],
        ['dport', 2, 36],
      ]);
    }
  });
});

describe('fiveTupleOf', () => {
  it('refuses by name what is no field of the five-tuple', () => {
    const head = 'tc filter add dev p0 ingress protocol';
    for (const [line, found] of [
      [`${head} ip pref 1 flower dst_mac 00:00:00:00:00:01 action drop`, 'eth_dst'],
      [`${head} ipv6 pref 1 flower ip_proto tcp action drop`, 'eth_type'],
      [`${head} ip pref 1 chain 3 flower ip_proto tcp action drop`, 'group 3'],
    ]) {
      const { rules, error } = readRules(line, 'f', 'tc');
      expect(error).toBeNull();
      expect(() => fiveTupleOf(rules[0])).toThrow(`found ${found}`);
    }
  });
});

describe('TraceReader', () => {
  const text = '1 2 3 4 6\n0xffffffff\t4294967294\t65535\t0x50\t17\t0\t12\r\n\n# end\n7 8 9 10 1';
  const wanted = [1, 2, (3 << 16) | 4, 6, -1, -2, (65535 << 16) | 80, 17, 7, 8, (9 << 16) | 10, 1];

  it('reads the same whatever the pieces', () => {
    const bytes = bytesOf(text);
    for (let piece = 1; piece <= bytes.length; piece++) {
      const reader = new TraceReader('t');
      const keys: number[] = [];
      const take = (count: number): void => {
        keys.push(...reader.keys.subarray(0, 4 * count));
      };
      for (let at = 0; at < bytes.length; at += piece)
        take(reader.feed(bytes.subarray(at, at + piece)));
      take(reader.finish());
      expect(keys).toEqual(wanted);
    }
  });

  it('names the place of a malformed header and keeps those before it', () => {
    const reader = new TraceReader('t');
    expect(reader.feed(bytesOf('1 2 3 4 5\n'))).toBe(1);
    expect(() => reader.feed(bytesOf('1 2 3 4 6\n1 2 3 4 256\n'))).toThrow(
      "t:3:9: expected a protocol from 0 to 255, found '256'",
    );
    expect(reader.readBeforeFault).toBe(1);
    const other = new TraceReader('t');
    other.feed(bytesOf('1 2 3'));
    expect(() => other.finish()).toThrow('t:1:6: expected a blank and the destination port');
    expect(() => new TraceReader('t').feed(bytesOf('1 2 3 4 5 6 7 8\n'))).toThrow('t:1:15');
  });
});

describe('keyOfFrame', () => {
  const hex = (text: string): Uint8Array =>
    Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
  const macs = '02000000000a 02000000000b';
  const ip = (fragment: string, protocol: string): string =>
    `4500 0028 0001 ${fragment} 40 ${protocol} 0000 c0a80001 e0000001`;
  const keyOf = (text: string): number[] | null => {
    const frame = hex(text);
    const key = new Int32Array(5);
    // Not at the start of the array, and with bytes after the end that must not count.
    const bytes = new Uint8Array(frame.length + 64).fill(0xff);
    bytes.set(frame, 3);
    return keyOfFrame(bytes, 3, frame.length, key, 1) ? [...key.subarray(1)] : null;
  };
  const addresses = [0xc0a80001 | 0, 0xe0000001 | 0];

  it('reads TCP and UDP, behind VLAN tags too', () => {
    const ports = (0xfffe << 16) | 80;
    expect(keyOf(`${macs} 0800 ${ip('0000', '06')} fffe 0050`)).toEqual([...addresses, ports, 6]);
    expect(keyOf(`${macs} 88a8 0001 8100 0002 0800 ${ip('4000', '11')} fffe 0050`)).toEqual([
      ...addresses,
      ports,
      17,
    ]);
  });

  it('has no ports where there are none', () => {
    for (const frame of [
      `${macs} 0800 ${ip('0000', '01')} fffe 0050`,
      `${macs} 0800 ${ip('0001', '11')} fffe 0050`,
      `${macs} 0800 ${ip('0000', '11')} fffe 00`,
    ])
      expect(keyOf(frame)?.[2]).toBe(0);
    // The first fragment has them.
    expect(keyOf(`${macs} 0800 ${ip('2000', '11')} fffe 0050`)?.[2]).toBe((0xfffe << 16) | 80);
  });

  it('has no key for what is not IPv4 or is cut off', () => {
    expect(keyOf(`${macs} 86dd ${ip('0000', '06')} fffe 0050`)).toBeNull();
    expect(keyOf(`${macs} 0800 6${ip('0000', '06').slice(1)}`)).toBeNull();
    expect(keyOf(`${macs} 0800 ${ip('0000', '06').slice(0, -2)}`)).toBeNull();
    expect(keyOf(`${macs} 8100 0001`)).toBeNull();
    expect(keyOf('0200')).toBeNull();
  });
});
