// `ip link add ... type vxlan|geneve|gretap` of iproute2 6.1: the options of flow-based (external) devices, with the tool's own messages
// (recorded from the tool).
//
// Devices with a remote of their own, and options that do not matter to flow-based ones, are refused.

import { EOPNOTSUPP } from '../../../driver/errno.ts';
import { refuse } from '../../stack/answer.ts';
import type { Answer } from '../../stack/answer.ts';
import type { Tunnels } from '../../stack/lwtunnel/tunnels.ts';
import { IpError, numberOf, wrongArgument } from './ip-common.ts';
import type { Words } from './ip-common.ts';

/** A device that is to be made. */
export interface NewTunnel {
  readonly make: (tunnels: Tunnels, name: string, mac: Uint8Array) => Answer;
  /** What the tool says first. */
  readonly warning: string;
}

const VXLAN_LINUX_PORT = 8472;
const GENEVE_PORT = 6081;
const PORT_WARNING = `vxlan: destination port not specified
Will use Linux kernel default (non-standard value)
Use 'dstport 4789' to get the IANA assigned value
Use 'dstport 0' to get default and quiet this message
`;

/** Reads a kind's options. */
export const TUNNEL_KINDS: Readonly<Record<string, (words: Words) => NewTunnel>> = {
  vxlan: vxlanOptions,
  geneve: geneveOptions,
  gretap: gretapOptions,
};

function vxlanOptions(words: Words): NewTunnel {
  let port = -1;
  let [sourceMin, sourceMax] = [0, 0];
  let [external, gbp, zeroChecksum6, hasVni] = [false, false, false, false];
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dstport') port = portOf(words, 'dst port');
    else if (word === 'srcport') {
      sourceMin = portOf(words, 'min port');
      sourceMax = portOf(words, 'max port');
    } else if (word === 'id' || word === 'vni') {
      numberOf(words.next(), 'invalid id');
      hasVni = true;
    } else if (word === 'external' || word === 'noexternal') external = word === 'external';
    else if (word === 'gbp') gbp = true;
    else if (word === 'udp6zerocsumrx' || word === 'noudp6zerocsumrx')
      zeroChecksum6 = word === 'udp6zerocsumrx';
    else if (word !== 'nolearning' && word !== 'udpcsum')
      throw new IpError(1, `vxlan: unknown command "${word}"?`);
  }
  if (external && hasVni)
    throw new IpError(1, "vxlan: both 'external' and vni cannot be specified");
  if (!external && !hasVni) throw new IpError(1, 'vxlan: missing virtual network identifier');
  const config = {
    port: port > 0 ? port : VXLAN_LINUX_PORT,
    sourceMin,
    sourceMax,
    gbp,
    zeroChecksum6,
  };
  return {
    warning: port < 0 ? PORT_WARNING : '',
    make: (tunnels, name, mac) =>
      external ? tunnels.addVxlan(name, mac, config) : ownRemote('vxlan'),
  };
}

function geneveOptions(words: Words): NewTunnel {
  let port = GENEVE_PORT;
  let external = false;
  let zeroChecksum6 = true;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dstport') port = portOf(words, 'dstport');
    else if (word === 'external' || word === 'noexternal') external = word === 'external';
    else if (word === 'udp6zerocsumrx' || word === 'noudp6zerocsumrx')
      zeroChecksum6 = word === 'udp6zerocsumrx';
    else if (word === 'id' || word === 'vni' || word === 'remote') words.next();
    else throw new IpError(1, `geneve: unknown command "${word}"?`);
  }
  return {
    warning: '',
    make: (tunnels, name, mac) =>
      external ? tunnels.addGeneve(name, mac, { port, zeroChecksum6 }) : ownRemote('geneve'),
  };
}

function gretapOptions(words: Words): NewTunnel {
  let external = false;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'external') external = true;
    else if (['remote', 'local', 'key', 'ttl', 'tos', 'dev'].includes(word)) words.next();
    else throw new IpError(1, `gretap: unknown command "${word}"?`);
  }
  return {
    warning: '',
    make: (tunnels, name, mac) => (external ? tunnels.addGretap(name, mac) : ownRemote('gretap')),
  };
}

function portOf(words: Words, what: string): number {
  const word = words.next();
  const port = numberOf(word, what);
  if (port > 65535) throw wrongArgument(word, what);
  return port;
}

function ownRemote(kind: string): Answer {
  return refuse(
    EOPNOTSUPP,
    `${kind}: only flow-based devices (external) are modelled`,
    'link-kind',
  );
}
