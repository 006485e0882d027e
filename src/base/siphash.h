/*
 * SipHash (Aumasson, Bernstein 2012): a keyed hash of 64 bits for short inputs. Whoever does not
 * know the key can neither foresee nor forge its values.
 */
#pragma once

#include <stdint.h>

#include "base/span.h"

#define SIPHASH_KEY_LEN 16

uint64_t siphash24(const uint8_t key[SIPHASH_KEY_LEN], struct span s); /* as a MAC */
uint64_t siphash13(const uint8_t key[SIPHASH_KEY_LEN], struct span s); /* for tables */
