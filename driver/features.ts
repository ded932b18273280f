// Offload features of a device: which can be switched, which are on, and which were wished (net/core/dev.c, `ethtool -k`).
//
// Names are the kernel's strings, in the order of its bits; the tool's legacy names and groups belong to the command. A feature that
// cannot be switched stays as the driver set it; a request for it is kept as wished. The model acts on: rx-checksum,
// rx-vlan-hw-parse, rx-ntuple-filter, rx-hashing and hw-tc-offload; the rest is what the reference driver does anyway.

/** The kernel's feature names (6.1) in bit order. */
export const FEATURE_NAMES = [
  ...(['tx-scatter-gather', 'tx-checksum-ipv4', 'tx-checksum-ip-generic'] as const),
  ...(['tx-checksum-ipv6', 'highdma', 'tx-scatter-gather-fraglist'] as const),
  ...(['tx-vlan-hw-insert', 'rx-vlan-hw-parse', 'rx-vlan-filter', 'vlan-challenged'] as const),
  ...(['tx-generic-segmentation', 'tx-lockless', 'netns-local', 'rx-gro', 'rx-lro'] as const),
  ...(['tx-tcp-segmentation', 'tx-gso-robust', 'tx-tcp-ecn-segmentation'] as const),
  ...(['tx-tcp-mangleid-segmentation', 'tx-tcp6-segmentation', 'tx-fcoe-segmentation'] as const),
  ...(['tx-gre-segmentation', 'tx-gre-csum-segmentation', 'tx-ipxip4-segmentation'] as const),
  ...(['tx-ipxip6-segmentation', 'tx-udp_tnl-segmentation'] as const),
  ...(['tx-udp_tnl-csum-segmentation', 'tx-gso-partial'] as const),
  ...(['tx-tunnel-remcsum-segmentation', 'tx-sctp-segmentation'] as const),
  ...(['tx-esp-segmentation', 'tx-udp-segmentation', 'tx-gso-list'] as const),
  ...(['tx-checksum-fcoe-crc', 'tx-checksum-sctp', 'fcoe-mtu', 'rx-ntuple-filter'] as const),
  ...(['rx-hashing', 'rx-checksum', 'tx-nocache-copy', 'loopback', 'rx-fcs', 'rx-all'] as const),
  ...(['tx-vlan-stag-hw-insert', 'rx-vlan-stag-hw-parse', 'rx-vlan-stag-filter'] as const),
  ...(['l2-fwd-offload', 'hw-tc-offload', 'esp-hw-offload', 'esp-tx-csum-hw-offload'] as const),
  ...(['rx-udp_tunnel-port-offload', 'tls-hw-tx-offload', 'tls-hw-rx-offload'] as const),
  ...(['rx-gro-hw', 'tls-hw-record', 'rx-gro-list', 'macsec-hw-offload'] as const),
  ...(['rx-udp-gro-forwarding', 'hsr-tag-ins-offload', 'hsr-tag-rm-offload'] as const),
  ...(['hsr-fwd-offload', 'hsr-dup-offload'] as const),
] as const;
export type FeatureName = (typeof FEATURE_NAMES)[number];

/** What a request changed. */
export interface FeatureChange {
  /** Features whose state is not what was asked for. */
  refused: FeatureName[];
  /** Features whose state changed. */
  changed: FeatureName[];
}

/** NETIF_F_SOFT_FEATURES, and what the core offers switched off. */
const CORE_FEATURES_ON: readonly FeatureName[] = ['tx-generic-segmentation', 'rx-gro'];
const CORE_FEATURES_OFF: readonly FeatureName[] = [
  ...(['rx-gro-list', 'rx-udp-gro-forwarding', 'tx-nocache-copy'] as const),
];

/** What cannot be without what it stands on (netdev_fix_features), of the features that the model has. */
function fix(features: Set<FeatureName>): void {
  if (!features.has('tx-scatter-gather')) features.delete('tx-generic-segmentation');
}

export class NetFeatures {
  /** hw_features: can be switched. */
  readonly switchable = new Set<FeatureName>();
  readonly active = new Set<FeatureName>();
  readonly wanted = new Set<FeatureName>();
  /** ndo_set_features: applies what `active` is going to be; 0 or −errno. */
  apply: (next: ReadonlySet<FeatureName>) => number = () => 0;

  /** Sets a driver's features before registration. */
  init(active: readonly FeatureName[], switchable: readonly FeatureName[]): void {
    for (const name of active) {
      this.active.add(name);
      this.wanted.add(name);
    }
    for (const name of switchable) this.switchable.add(name);
  }

  /**
   * What registration adds to any device (register_netdevice, netdev_fix_features): GSO and GRO are on, their variants and
   * nocache-copy can be switched; GSO is only wished where there is no scatter-gather. The model has neither GSO nor GRO: only devices that
   * answer as a recorded kernel's (driver/sim) ask for it.
   */
  addCoreFeatures(): void {
    this.init(CORE_FEATURES_ON, [...CORE_FEATURES_ON, ...CORE_FEATURES_OFF]);
    fix(this.active);
  }

  has(name: FeatureName): boolean {
    return this.active.has(name);
  }

  /** `ethtool -K`: wishes, and what became of them. A driver's error leaves everything as it is. */
  request(wishes: ReadonlyMap<FeatureName, boolean>): FeatureChange {
    const next = new Set(this.active);
    for (const [name, on] of wishes) {
      if (!this.switchable.has(name)) continue;
      if (on) {
        next.add(name);
        this.wanted.add(name);
      } else {
        next.delete(name);
        this.wanted.delete(name);
      }
    }
    fix(next);
    const changed = FEATURE_NAMES.filter((name) => next.has(name) !== this.active.has(name));
    if (changed.length > 0 && this.apply(next) === 0)
      for (const name of changed) {
        if (next.has(name)) this.active.add(name);
        else this.active.delete(name);
      }
    const refused = FEATURE_NAMES.filter((name) => {
      const wish = wishes.get(name);
      return wish !== undefined && wish !== this.active.has(name);
    });
    return { refused, changed: changed.filter((name) => !refused.includes(name)) };
  }
}
