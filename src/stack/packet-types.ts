// What a received frame is: pkt_type of if_packet.h, and the ethertypes that the stack handles.

/** To this host. */
export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
/** To another station. */
export const PACKET_OTHERHOST = 3;

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_IPV6 = 0x86dd;
