/*
 * Who is where in the measurement: flow i has a client and a peer with an address of its own each,
 * all of them on loopback, so that the load generator needs two sockets only and the bare
 * forwarders know a flow by its address alone. Each client is in a /24 of its own, because servers
 * limit strangers by prefix.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>

#define PLAN_FLOWS_MAX 16384u
#define PLAN_CLIENT_PORT 20000
#define PLAN_PEER_PORT 40000
#define PLAN_CLIENTS 0x7f800001u /* 127.128.0.1, 127.128.1.1 … 127.191.255.1 */
#define PLAN_PEERS 0x7f400001u	 /* 127.64.0.1 … */
#define PLAN_CHANNEL 0x4000u

static inline struct in_addr plan_client(unsigned flow)
{
	return (struct in_addr){ htonl(PLAN_CLIENTS + (flow << 8)) };
}

static inline struct in_addr plan_peer(unsigned flow)
{
	return (struct in_addr){ htonl(PLAN_PEERS + (flow << 8)) };
}

/* Of either address. */
static inline unsigned plan_flow(struct in_addr ip)
{
	return ntohl(ip.s_addr) >> 8 & (PLAN_FLOWS_MAX - 1);
}

static inline uint16_t plan_channel(unsigned flow)
{
	return (uint16_t)(PLAN_CHANNEL + flow % 0x1000u);
}
