// Placing the frames of a capture: each policy on small captures whose answer is plain to see.

import { describe, expect, it } from 'vitest';
import { newShape, readShape } from '../../../src/scenario/shape.ts';
import { Splitter } from '../../../src/scenario/split.ts';
import { parseSplit } from '../../../src/scenario/split-option.ts';

const CLIENT = [10, 0, 0, 1];
const SERVER = [192, 168, 0, 9];
const THIRD = [172, 16, 0, 3];

function tcp(
  src: number[],
  dst: number[],
  sport: number,
  dport: number,
  flags: number,
): Uint8Array {
  const frame = new Uint8Array(54);
  frame.set([2, 0, ...dst], 0);
  frame.set([2, 0, ...src], 6);
  frame.set([0x08, 0x00, 0x45, 0, 0, 40], 12);
  frame.set([64, 6], 22);
  frame.set(src, 26);
  frame.set(dst, 30);
  frame.set([sport >> 8, sport & 255, dport >> 8, dport & 255], 34);
  frame[46] = 0x50;
  frame[47] = flags;
  return frame;
}

function sides(split: string, frames: Uint8Array[]): { sides: number[]; learned: string[] } {
  const learned: string[] = [];
  const splitter = new Splitter(parseSplit(split), {
    onAddress: (_family, bytes, at, side) =>
      learned.push(`${[...bytes.subarray(at, at + 4)].join('.')}@${side}`),
  });
  const shape = newShape();
  return {
    sides: frames.map((frame) => {
      readShape(frame, 0, frame.length, shape);
      return splitter.side(frame, 0, shape, true);
    }),
    learned,
  };
}

const SYN = 2;
const SYNACK = 18;
const ACK = 16;

describe('split', () => {
  it('client-server: the side that opens is on port 0, whoever is seen first', () => {
    const opened = sides('client-server', [
      tcp(CLIENT, SERVER, 40000, 80, SYN),
      tcp(SERVER, CLIENT, 80, 40000, SYNACK),
    ]);
    expect(opened).toEqual({ sides: [0, 1], learned: ['10.0.0.1@0', '192.168.0.9@1'] });
    const answeredFirst = sides('client-server', [tcp(SERVER, CLIENT, 80, 40000, SYNACK)]);
    expect(answeredFirst.sides).toEqual([1]);
  });

  it('client-server: in the middle of a connection the lower port is the server', () => {
    expect(sides('client-server', [tcp(SERVER, CLIENT, 443, 50000, ACK)]).sides).toEqual([1]);
  });

  it('client-server: an address keeps its side, also when it serves others', () => {
    const { sides: found } = sides('client-server', [
      tcp(CLIENT, SERVER, 40000, 80, SYN),
      tcp(SERVER, THIRD, 41000, 25, SYN),
      tcp(THIRD, CLIENT, 42000, 22, SYN),
    ]);
    expect(found).toEqual([0, 1, 0]);
  });

  it('mac, cidr and none', () => {
    const frames = [tcp(SERVER, CLIENT, 80, 4000, ACK), tcp(CLIENT, SERVER, 4000, 80, ACK)];
    expect(sides('mac', frames).sides).toEqual([0, 1]);
    expect(sides('cidr=10.0.0.0/8', frames).sides).toEqual([1, 0]);
    expect(sides('none', frames).sides).toEqual([0, 0]);
  });

  it('refuses what it does not know, naming what it expects', () => {
    expect(() => parseSplit('sideways')).toThrow('client-server, mac, none or cidr=NETWORK/LENGTH');
    expect(() => parseSplit('cidr=10.0.0.0/33')).toThrow("found 'cidr=10.0.0.0/33'");
  });
});
