// `conntrack -I`, `-A`, `-G`: keys from the words of a command, and connections made by hand.

import { EEXIST } from '../../../../driver/errno.ts';
import type { ConnectionFilter } from '../../../stack/netfilter/conntrack/filter.ts';
import { Tuple, hasPorts } from '../../../stack/netfilter/conntrack/tuple.ts';
import {
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
} from '../../../stack/netfilter/conntrack/tuple.ts';
import { createConnection } from '../../../stack/netfilter/conntrack/userspace.ts';
import type { ConnectionChange } from '../../../stack/netfilter/conntrack/userspace.ts';
import type { Netfilter } from '../../../stack/netfilter/index.ts';
import { addressWords } from '../../../stack/netfilter/nat/nat.ts';
import { NatRange, RANGE_PROTO_SPECIFIED } from '../../../stack/netfilter/nat/range.ts';
import type { NatTarget, Request } from './options.ts';
import { UsageError } from './options.ts';

/** What a request changes about a connection. */
export function changeOf(request: Request): ConnectionChange {
  const { filter } = request;
  return {
    timeoutS: request.timeoutS,
    status: filter.statusSet,
    mark: filter.mark,
    state: filter.state,
    addLabels: request.addLabels,
    removeLabels: request.removeLabels,
  };
}

/** Keys of a request: original, and reply as given or turned round. */
export function keysOf(filter: ConnectionFilter): { original: Tuple; reply: Tuple } {
  const original = new Tuple();
  const reply = new Tuple();
  const zone = filter.zone ?? 0;
  const given = filter.src !== null && filter.dst !== null;
  if (given) fill(original, filter, false, filter.originalZone ?? zone);
  else {
    fill(reply, filter, true, filter.replyZone ?? zone);
    reply.invert(original);
    return { original, reply };
  }
  original.invert(reply);
  reply.setL4(reply.family, reply.protocol, filter.replyZone ?? zone, reply.l4);
  const { replySrc, replyDst } = filter;
  if (replySrc !== null) [reply.s0, reply.s1, reply.s2, reply.s3] = addressWords(replySrc.address);
  if (replyDst !== null) [reply.d0, reply.d1, reply.d2, reply.d3] = addressWords(replyDst.address);
  if (filter.replySport !== null) reply.l4 = (reply.l4 & 0xffff) | (filter.replySport << 16);
  if (filter.replyDport !== null) reply.l4 = (reply.l4 & ~0xffff) | filter.replyDport;
  return { original, reply };
}

function fill(tuple: Tuple, filter: ConnectionFilter, isReply: boolean, zone: number): void {
  const src = (isReply ? filter.replySrc : filter.src)?.address ?? new Uint8Array(4);
  const dst = (isReply ? filter.replyDst : filter.dst)?.address ?? new Uint8Array(4);
  if (src.length !== dst.length) throw new UsageError('mismatched address family');
  [tuple.s0, tuple.s1, tuple.s2, tuple.s3] = addressWords(src);
  [tuple.d0, tuple.d1, tuple.d2, tuple.d3] = addressWords(dst);
  const protocol = filter.protocol ?? 0;
  tuple.setL4(src.length === 4 ? 2 : 10, protocol, zone, layer4(filter, protocol, isReply));
}

function layer4(filter: ConnectionFilter, protocol: number, isReply: boolean): number {
  if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) {
    if (filter.icmpType === null) throw new UsageError("you have to specify `--icmp-type'");
    return ((filter.icmpId ?? 0) << 16) | (filter.icmpType << 8) | (filter.icmpCode ?? 0);
  }
  const sport = isReply ? filter.replySport : filter.sport;
  const dport = isReply ? filter.replyDport : filter.dport;
  if (protocol === IPPROTO_GRE) return ((sport ?? 0) << 16) | (dport ?? 0);
  if (!hasPorts(protocol)) return 0;
  if (sport === null || dport === null)
    throw new UsageError(
      isReply
        ? "you have to specify `--reply-port-src' and `--reply-port-dst'"
        : "you have to specify `--orig-port-src' and `--orig-port-dst'",
    );
  return (sport << 16) | dport;
}

/** Makes the connection of a request; 0 or EEXIST. */
export function create(netfilter: Netfilter, request: Request): number {
  const { filter } = request;
  if (filter.protocol === IPPROTO_TCP && filter.state === null)
    throw new UsageError("You need to supply the `--state' option for this command");
  const { original, reply } = keysOf(filter);
  const error = createConnection(
    netfilter.conntrack,
    netfilter.nat,
    original,
    reply,
    changeOf(request),
    rangeOf(request.srcNat),
    rangeOf(request.dstNat),
  );
  return error === EEXIST && request.action === 'A' ? 0 : error;
}

function rangeOf(target: NatTarget | null): NatRange | null {
  if (target === null) return null;
  const range = new NatRange();
  if (target.address !== null) range.setAddress(addressWords(target.address), 0);
  if (target.port !== null) {
    range.flags |= RANGE_PROTO_SPECIFIED;
    range.minPort = range.maxPort = target.port;
  }
  return range;
}

/** The connection with the keys of a request, −1 for none. */
export function findExact(netfilter: Netfilter, filter: ConnectionFilter): number {
  const { conntrack: ct } = netfilter;
  const { original, reply } = keysOf(filter);
  const key = filter.src !== null ? original : reply;
  const element = ct.findLive(key, key.hash(), ct.now);
  return element < 0 ? -1 : element >> 1;
}
