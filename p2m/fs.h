/* SPDX-License-Identifier: GPL-2.0 */
/* The p2m file system, each regular file of which is a guest */
#ifndef _P2M_FS_H
#define _P2M_FS_H

#include "p2m/guest.h"

int p2m_fs_init(void);
void p2m_fs_exit(void);
int p2m_fs_register(void);
void p2m_fs_unregister(void);
struct p2m_guest *p2m_fs_unnamed(void);
int p2m_fs_resize(struct inode *inode, loff_t size);
void p2m_fs_undo_grow(struct inode *inode, loff_t size);

extern const struct file_operations p2m_file_fops;

#endif /* _P2M_FS_H */
