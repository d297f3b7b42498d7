/* SPDX-License-Identifier: GPL-2.0 */
/* Paging by a pager */
#ifndef _P2M_PAGER_H
#define _P2M_PAGER_H

#include <linux/fs.h>
#include <linux/poll.h>

#include "p2m/guest.h"

int p2m_pager_attach(struct p2m_guest *guest, struct p2m_pager_attach *arg);
int p2m_pager_detach(struct p2m_guest *guest);
void p2m_pager_flush(struct p2m_guest *guest, fl_owner_t id);
void p2m_pager_free(struct p2m_guest *guest);
int p2m_pager_nominate(struct p2m_guest *guest, struct p2m_range *range);
int p2m_pager_evict(struct p2m_guest *guest, struct p2m_page *arg);
int p2m_pager_prep(struct p2m_guest *guest, struct p2m_page *arg);
int p2m_pager_resume(struct p2m_guest *guest, struct p2m_range *range);
ssize_t p2m_pager_read(struct p2m_guest *guest, char __user *buf, size_t count,
		       bool nonblock);
__poll_t p2m_pager_poll(struct p2m_guest *guest, struct file *file,
			poll_table *wait);
void p2m_pager_cancel(struct p2m_guest *guest, unsigned long gfn);
bool p2m_pager_is_there(struct p2m_guest *guest);
int p2m_pager_ask(struct p2m_guest *guest, unsigned long gfn, bool write);
int p2m_pager_wait(struct p2m_guest *guest, unsigned long gfn,
		   unsigned int state);

#endif /* _P2M_PAGER_H */
