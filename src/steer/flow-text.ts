// A flow as text, and the frame that stands for it:
//
//   tcp 10.0.0.1:1234 > 10.0.0.2:80 [syn] [frag] [vlan=ID]
//   udp [2001:db8::1]:53 > [2001:db8::2]:4000
//   ip 10.0.0.1 > 10.0.0.2 [proto=N]
//
// `frag` makes it a fragment other than the first: no ports, whatever the text says.

import { parseAddress } from '../stack/ip/address.ts';

/** Text that is no flow; `message` says what was expected, on one line. */
export class FlowTextError extends Error {
  override readonly name = 'FlowTextError';
}

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132, ip: -1 };
const FORM =
  "'tcp 10.0.0.1:1234 > 10.0.0.2:80', 'udp [2001:db8::1]:53 > [2001:db8::2]:4000' or 'ip A > B'";
const TCP_ACK = 0x10;
const TCP_SYN = 0x02;

interface End {
  address: Uint8Array;
  port: number;
}

interface Flow {
  proto: number;
  from: End;
  to: End;
  isSyn: boolean;
  isFragment: boolean;
  /** −1: untagged. */
  vlan: number;
}

/** The Ethernet frame of a flow; the MAC addresses are zero but for what an own address needs. Throws FlowTextError. */
export function frameOfFlow(text: string, dstMac: Uint8Array): Uint8Array {
  const flow = parseFlow(text);
  return flow.from.address.length === 4 ? frame4(flow, dstMac) : frame6(flow, dstMac);
}

function fail(text: string, expected = FORM): never {
  throw new FlowTextError(`--flow '${text}': expected ${expected}`);
}

function parseFlow(text: string): Flow {
  const words = text.trim().split(/\s+/);
  const name = words[0].toLowerCase();
  if (!Object.hasOwn(PROTOCOLS, name) || words[2] !== '>' || words.length < 4) fail(text);
  const proto = PROTOCOLS[name];
  const flow: Flow = {
    proto,
    from: parseEnd(words[1], proto >= 0, text),
    to: parseEnd(words[3], proto >= 0, text),
    isSyn: false,
    isFragment: false,
    vlan: -1,
  };
  if (flow.from.address.length !== flow.to.address.length)
    fail(text, 'two addresses of one family');
  for (const word of words.slice(4)) {
    const option = /^(vlan|proto)=([0-9]{1,4})$/.exec(word);
    const value = Number(option?.[2] ?? -1);
    if (word === 'syn' && proto === 6) flow.isSyn = true;
    else if (word === 'frag') flow.isFragment = true;
    else if (option?.[1] === 'vlan' && value < 4096) flow.vlan = value;
    else if (option?.[1] === 'proto' && proto < 0 && value < 256) flow.proto = value;
    else
      fail(text, "'syn' (of tcp), 'frag', 'vlan=0..4095' or 'proto=0..255' (of ip) after the flow");
  }
  if (flow.proto < 0) flow.proto = 59; // no next header, or an unused IPv4 protocol: nothing to hash
  return flow;
}

function parseEnd(word: string, hasPort: boolean, text: string): End {
  const match = hasPort
    ? (/^\[([0-9a-fA-F:.]+)\]:([0-9]{1,5})$/.exec(word) ?? /^([0-9.]+):([0-9]{1,5})$/.exec(word))
    : /^\[?([0-9a-fA-F:.]+?)\]?$/.exec(word);
  const address = match === null ? null : parseAddress(match[1]);
  const port = hasPort ? Number(match?.[2] ?? 0x10000) : 0;
  if (address === null || port > 0xffff) fail(text);
  return { address, port };
}

function ethernet(flow: Flow, dstMac: Uint8Array, type: number): number[] {
  const bytes = [...dstMac, 2, 0, 0, 0, 0, 1];
  if (flow.vlan >= 0) bytes.push(0x81, 0, flow.vlan >> 8, flow.vlan & 255);
  bytes.push(type >> 8, type & 255);
  return bytes;
}

/** Transport header with empty payload; checksums are not what steering looks at. */
function transport(flow: Flow): number[] {
  const port = (end: End): number[] => [end.port >> 8, end.port & 255];
  const ports = [...port(flow.from), ...port(flow.to)];
  if (flow.proto === 6) {
    const flags = flow.isSyn ? TCP_SYN : TCP_ACK;
    return [...ports, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0];
  }
  if (flow.proto === 17) return [...ports, 0, 8, 0, 0];
  return flow.proto === 132 ? [...ports, 0, 0, 0, 0, 0, 0, 0, 0] : [0, 0, 0, 0, 0, 0, 0, 0];
}

function frame4(flow: Flow, dstMac: Uint8Array): Uint8Array {
  const payload = transport(flow);
  const total = 20 + payload.length;
  const header = [
    0x45,
    0,
    total >> 8,
    total & 255,
    0,
    0,
    0,
    flow.isFragment ? 1 : 0,
    64,
    flow.proto,
  ];
  header.push(0, 0, ...flow.from.address, ...flow.to.address);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (header[i] << 8) | header[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  header[10] = (~sum >> 8) & 255;
  header[11] = ~sum & 255;
  return Uint8Array.from([...ethernet(flow, dstMac, 0x0800), ...header, ...payload]);
}

function frame6(flow: Flow, dstMac: Uint8Array): Uint8Array {
  const payload = transport(flow);
  if (flow.isFragment) payload.unshift(flow.proto, 0, 0, 8, 0, 0, 0, 1);
  const next = flow.isFragment ? 44 : flow.proto;
  const header = [0x60, 0, 0, 0, payload.length >> 8, payload.length & 255, next, 64];
  header.push(...flow.from.address, ...flow.to.address);
  return Uint8Array.from([...ethernet(flow, dstMac, 0x86dd), ...header, ...payload]);
}
