// What `ip -d link` says of a device beyond the common part, and how the device is removed: given to Links by whoever makes devices of
// a kind (tun, veth, bridge; VLAN devices are Links' own).

import type { NetDevice } from '../../driver/netdev.ts';
import type { Answer } from './answer.ts';

export interface LinkKind {
  /** IFLA_INFO_KIND. */
  readonly kind: string;
  /** `link/ether`, `link/none`: with `none` a device has no address. */
  readonly linkType: 'ether' | 'none';
  /** The line of `-d`, with a blank at its end. */
  text(): string;
  /** info_data of `-d -j`, null for none. */
  json(): Record<string, unknown> | null;
  /** `ip link del`. */
  remove(): Answer;
  /** Cannot go to another namespace (NETIF_F_NETNS_LOCAL). */
  readonly netnsLocal?: boolean;
  /** IFLA_LINK is there and says 0: `@NONE`. */
  readonly noLink?: boolean;
  /** IFLA_LINK: the device that this one is tied to, in whatever namespace; null for none. */
  peer?(): NetDevice | null;
}
