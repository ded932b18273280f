// What counts as the same: frames, conntrack lines and hook counts of the model against those of the recorded kernel.
//
// Recordings are not exact in: the IPv4 id (and with it the checksum) and the IPv6 flow label of packets that the machine
// makes itself, the UDP source port of a tunnel (a hash) with the UDP checksum, conntrack ids, and times to a fraction of a second. In a
// tunnelled packet the same holds for the packet inside. Everything else must agree to the byte.

/** One difference, for people and for `--json`. */
export interface Difference {
  step: string;
  timeS: number;
  what: 'frame' | 'ct' | 'hooks' | 'command' | 'matched' | 'driver' | 'monitor' | 'dump' | 'upcall';
  expected: string;
  found: string;
}

/** Hex positions (bytes) of an Ethernet+IPv4 frame. */
const IP_ID_AT = 18;
const IP_CHECKSUM_AT = 24;

/**
 * Whether two frames (hex) are the same, with the freedom that a packet made by the machine itself has: `ownAddresses`
 * are its addresses in hex.
 */
export function sameFrame(
  expected: string,
  found: string,
  ownAddresses: ReadonlySet<string>,
): boolean {
  if (expected === found) return true;
  if (expected.length !== found.length) return false;
  const type = expected.slice(24, 28);
  if (type === '0800') {
    const own = ownAddresses.has(expected.slice(52, 60));
    if (own && maskIp4(expected) === maskIp4(found)) return true;
    if (!own) return false;
  } else if (type === '86dd') {
    const own = ownAddresses.has(expected.slice(44, 76));
    const free = (hex: string): string => maskFragmentId(own ? maskFlowLabel(hex) : hex);
    if (free(expected) === free(found)) return true;
    if (!own) return false;
  } else return false;
  return sameTunnelled(expected, found, ownAddresses);
}

/** UDP ports of tunnels, hex. */
const TUNNEL_PORTS = ['12b5', '17c1', '22b8'];

/** Frames of this machine's own with a UDP tunnel's packet inside. */
function sameTunnelled(
  expected: string,
  found: string,
  ownAddresses: ReadonlySet<string>,
): boolean {
  const isFour = expected.slice(24, 28) === '0800';
  const udpAt = isFour ? 34 : 54;
  const isTunnel =
    expected.slice((isFour ? 23 : 20) * 2).startsWith('11') &&
    TUNNEL_PORTS.includes(expected.slice((udpAt + 2) * 2, (udpAt + 4) * 2));
  if (!isTunnel) return false;
  const outer = (hex: string): string => {
    const head = hex.slice(0, (udpAt + 16) * 2);
    const free = isFour ? maskIp4(head) : maskFlowLabel(head);
    const hasChecksum = hex.slice((udpAt + 6) * 2, (udpAt + 8) * 2) !== '0000';
    const ports = blank(free, udpAt, 2);
    return hasChecksum ? blank(ports, udpAt + 6, 2) : ports;
  };
  const options = expected.slice((udpAt + 2) * 2).startsWith('17c1')
    ? (parseInt(expected.slice((udpAt + 8) * 2, (udpAt + 9) * 2), 16) & 0x3f) * 4
    : 0;
  const innerAt = (udpAt + 16 + options) * 2;
  const between = (hex: string): string => hex.slice((udpAt + 16) * 2, innerAt);
  return (
    outer(expected) === outer(found) &&
    between(expected) === between(found) &&
    sameFrame(expected.slice(innerAt), found.slice(innerAt), ownAddresses)
  );
}

function maskIp4(hex: string): string {
  return blank(blank(hex, IP_ID_AT, 2), IP_CHECKSUM_AT, 2);
}

function maskFlowLabel(hex: string): string {
  return hex.slice(0, 31) + 'xxxxx' + hex.slice(36);
}

/** The identification of an IPv6 fragment: the router chooses a new one when it sends reassembled packets. */
function maskFragmentId(hex: string): string {
  const isFragment = hex.slice(40, 42) === '2c';
  return isFragment ? blank(hex, 14 + 40 + 4, 4) : hex;
}

function blank(hex: string, atByte: number, bytes: number): string {
  return hex.slice(0, atByte * 2) + 'x'.repeat(bytes * 2) + hex.slice((atByte + bytes) * 2);
}

/** A conntrack line without its id, and its timeout apart (−1 when the line has none). */
function splitLine(line: string): { timeoutS: number; rest: string } {
  // The last id: the one of an ICMP tuple is part of the line.
  const plain = line.replace(/ id=\d+$/, '').trim();
  const match = /^((?:ipv[46]\s+\d+\s+|\d+ )?[a-z0-9]+\s+\d+) (\d+) (.*)$/.exec(plain);
  if (match === null) return { timeoutS: -1, rest: plain };
  return { timeoutS: Number(match[2]), rest: `${match[1]} ${match[3]}` };
}

/** Whether two conntrack lines agree: all but the id, the timeout within one second. */
export function sameConntrackLine(expected: string, found: string): boolean {
  const a = splitLine(expected);
  const b = splitLine(found);
  if (a.rest !== b.rest) return false;
  if (a.timeoutS < 0 || b.timeoutS < 0) return a.timeoutS === b.timeoutS;
  return Math.abs(a.timeoutS - b.timeoutS) <= 1;
}

/**
 * A recorded listing without repeats: for IPv6 the recordings hold `conntrack -L` and `conntrack -L -f ipv6` after each other,
 * which gives each connection twice (the later listing counts).
 */
export function withoutRepeats(lines: readonly string[]): string[] {
  const name = (line: string): string => splitLine(line.replace(/ use=\d+/, '')).rest;
  const names = lines.map(name);
  return lines.filter((_line, index) => names.lastIndexOf(names[index]) === index);
}

/** Pairs lines in any order (a listing is in hash order); what stays unpaired on either side. */
export function compareLists(
  expected: readonly string[],
  found: readonly string[],
  same: (a: string, b: string) => boolean,
): { missing: string[]; extra: string[] } {
  const rest = [...found];
  const missing: string[] = [];
  for (const line of expected) {
    const at = rest.findIndex((other) => same(line, other));
    if (at >= 0) rest.splice(at, 1);
    else missing.push(line);
  }
  return { missing, extra: rest };
}

/** A conntrack line as the TCP-state recordings give it: no addresses, counters, mark, use or id; single blanks. */
export function shortLine(line: string): string {
  return line
    .replace(/^ipv[46]\s+/, '')
    .replace(/ (src|dst|packets|bytes|mark|use|id)=\S+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
