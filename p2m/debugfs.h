/* SPDX-License-Identifier: GPL-2.0 */
/* /sys/kernel/debug/p2m */
#ifndef _P2M_DEBUGFS_H
#define _P2M_DEBUGFS_H

void p2m_debugfs_init(void);
void p2m_debugfs_exit(void);

#endif /* _P2M_DEBUGFS_H */
