// Flow-based tunnel devices as `ip -d link` shows them (iproute2 6.1 on Linux 6.1, recorded). What the model has no setting for stands at
// the kernel's default.

import type { Answer } from '../answer.ts';
import type { LinkKind } from '../link-kind.ts';
import type { GeneveConfig } from './geneve.ts';
import type { VxlanConfig } from './vxlan.ts';

export function vxlanKind(config: VxlanConfig, remove: () => Answer): LinkKind {
  const { port, sourceMin, sourceMax, gbp, zeroChecksum6 } = config;
  return {
    kind: 'vxlan',
    linkType: 'ether',
    text: () =>
      `vxlan external id 0 srcport ${sourceMin} ${sourceMax} dstport ${port} nolearning ttl auto ageing 300 udpcsum ` +
      `noudp6zerocsumtx ${zeroChecksum6 ? '' : 'no'}udp6zerocsumrx ${gbp ? 'gbp ' : ''}`,
    json: () => ({
      external: true,
      id: 0,
      port_range: { low: sourceMin, high: sourceMax },
      port,
      learning: false,
      ttl: 0,
      df: 'unset',
      ageing: 300,
      udp_csum: true,
      udp_zero_csum6_tx: false,
      udp_zero_csum6_rx: zeroChecksum6,
      ...(gbp ? { gbp: true } : {}),
    }),
    remove,
  };
}

export function geneveKind({ port, zeroChecksum6 }: GeneveConfig, remove: () => Answer): LinkKind {
  return {
    kind: 'geneve',
    linkType: 'ether',
    text: () =>
      `geneve external id 0 ttl auto dstport ${port} ${zeroChecksum6 ? '' : 'no'}udp6zerocsumrx `,
    json: () => ({
      external: true,
      id: 0,
      ttl: 0,
      df: 'unset',
      port,
      udp_zero_csum6_rx: zeroChecksum6,
    }),
    remove,
  };
}

export function gretapKind(remove: () => Answer): LinkKind {
  return {
    kind: 'gretap',
    linkType: 'ether',
    text: () => 'gretap external remote any local any ttl inherit ',
    json: () => ({ external: true, remote: 'any', local: 'any', ttl: 0, pmtudisc: true }),
    remove,
    noLink: true,
  };
}
