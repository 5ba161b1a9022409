-- How many annotations each user has put on each object. Views never belong to a publication.

CREATE VIEW count_image_annotationlinks_by_owner (image_id, owner_id, count) AS
    SELECT parent, owner_id, count(*) FROM imageannotationlink GROUP BY parent, owner_id ORDER BY parent;
CREATE VIEW count_dataset_annotationlinks_by_owner (dataset_id, owner_id, count) AS
    SELECT parent, owner_id, count(*) FROM datasetannotationlink GROUP BY parent, owner_id ORDER BY parent;
CREATE VIEW count_dataset_imagelinks_by_owner (dataset_id, owner_id, count) AS
    SELECT parent, owner_id, count(*) FROM datasetimagelink GROUP BY parent, owner_id ORDER BY parent;
