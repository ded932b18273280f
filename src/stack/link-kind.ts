// What `ip -d link` says of a device beyond the common part, and how the device is removed: given to Links by whoever makes devices of
// a kind (tun; VLAN devices are Links' own).

import type { Answer } from './answer.ts';

export interface LinkKind {
  /** IFLA_INFO_KIND. */
  readonly kind: string;
  /** `link/ether`, `link/none`: with `none` a device has no address. */
  readonly linkType: 'ether' | 'none';
  /** The line of `-d`, with a blank at its end. */
  text(): string;
  /** info_data of `-d -j`. */
  json(): Record<string, unknown>;
  /** `ip link del`. */
  remove(): Answer;
}
