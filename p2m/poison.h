/* SPDX-License-Identifier: GPL-2.0 */
/* Poisoned pages */
#ifndef _P2M_POISON_H
#define _P2M_POISON_H

#include "p2m/guest.h"

int p2m_check_poison(struct p2m_guest *guest, unsigned long gfn);
void p2m_check_poison_2m(struct p2m_guest *guest, unsigned long gfn);

#endif /* _P2M_POISON_H */
